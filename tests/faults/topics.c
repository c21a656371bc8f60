/* Topics of Kafka from outside: topics delete|create|alter|deny|allow BROKERS TOPIC [PARTITIONS|PROPERTY=VALUE]. deny:
 * nobody (who has not said who he is) may write to it any more; allow: he may again. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *why) {
    fprintf(stderr, "topics: %s: %s\n", what, why);
    exit(1);
}

static void result(const rd_kafka_topic_result_t **topics, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (rd_kafka_topic_result_error(topics[i]))
            die(rd_kafka_topic_result_name(topics[i]), rd_kafka_topic_result_error_string(topics[i]));
}

static void topic_delete(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name) {
    size_t n;
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    if (!event || rd_kafka_event_error(event))
        die(name, event ? rd_kafka_event_error_string(event) : "no answer");
    const rd_kafka_topic_result_t **topics =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
    result(topics, n);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(topic);
}

static void topic_create(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name, int partitions) {
    char text[200];
    size_t n;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, text, sizeof text);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    if (!event || rd_kafka_event_error(event))
        die(name, event ? rd_kafka_event_error_string(event) : "no answer");
    const rd_kafka_topic_result_t **topics =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    result(topics, n);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
}

static void topic_alter(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name, char *property) {
    char *value = strchr(property, '=');
    if (!value)
        die(property, "PROPERTY=VALUE is meant");
    *value++ = '\0';
    rd_kafka_ConfigResource_t *topic = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_ConfigResource_set_config(topic, property, value);
    rd_kafka_AlterConfigs(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    if (!event || rd_kafka_event_error(event))
        die(name, event ? rd_kafka_event_error_string(event) : "no answer");
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(topic);
}

static rd_kafka_AclBinding_t *acl_make(const char *name, rd_kafka_AclOperation_t operation,
                                       rd_kafka_AclPermissionType_t permission) {
    char text[200];
    return rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL, "User:ANONYMOUS",
                                   "*", operation, permission, text, sizeof text);
}

static void topic_deny(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name) {
    rd_kafka_AclBinding_t *acls[] = {
        acl_make(name, RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW), /* or none may do anything */
        acl_make(name, RD_KAFKA_ACL_OPERATION_WRITE, RD_KAFKA_ACL_PERMISSION_TYPE_DENY),
    };
    rd_kafka_CreateAcls(rk, acls, 2, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    if (!event || rd_kafka_event_error(event))
        die(name, event ? rd_kafka_event_error_string(event) : "no answer");
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy_array(acls, 2);
}

static void topic_allow(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name) {
    char text[200];
    rd_kafka_AclBindingFilter_t *acls =
        rd_kafka_AclBindingFilter_new(RD_KAFKA_RESOURCE_TOPIC, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL, NULL, NULL,
                                      RD_KAFKA_ACL_OPERATION_ANY, RD_KAFKA_ACL_PERMISSION_TYPE_ANY, text, sizeof text);
    rd_kafka_DeleteAcls(rk, &acls, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    if (!event || rd_kafka_event_error(event))
        die(name, event ? rd_kafka_event_error_string(event) : "no answer");
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy(acls);
}

int main(int argc, char **argv) {
    char text[200];
    if (argc < 4)
        return 2;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[2], text, sizeof text))
        die(argv[2], text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk)
        die(argv[2], text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    if (strcmp(argv[1], "delete") == 0)
        topic_delete(rk, queue, argv[3]);
    else if (strcmp(argv[1], "deny") == 0)
        topic_deny(rk, queue, argv[3]);
    else if (strcmp(argv[1], "allow") == 0)
        topic_allow(rk, queue, argv[3]);
    else if (strcmp(argv[1], "alter") == 0 && argc == 5)
        topic_alter(rk, queue, argv[3], argv[4]);
    else
        topic_create(rk, queue, argv[3], argc > 4 ? atoi(argv[4]) : 1);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return 0;
}
