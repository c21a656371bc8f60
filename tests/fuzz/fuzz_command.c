/* Random bytes through json_scan and command_parse, as a `commands` file takes them. The first byte says where the
 * bytes are cut and which scope they were written to. */
#include "command.h"
#include "name.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(holds)                                                                                                   \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* The meaning of json_scan, a byte at a time. */
static ssize_t scan_plainly(const char *p, size_t n, bool *complete) {
    struct json_scan s = {0};
    *complete = false;
    if (n && *p != '{' && *p != '[')
        return -1;
    for (size_t i = 0; i < n; i++) {
        bool escaped = s.escaped;
        s.escaped = p[i] == '\\' && !escaped;
        if (p[i] == '"' && !escaped)
            s.in_string = !s.in_string;
        if (s.in_string)
            continue;
        if ((p[i] == '{' || p[i] == '[') && ++s.depth > JSON_DEPTH_MAX)
            return -1;
        if ((p[i] == '}' || p[i] == ']') && --s.depth == 0) {
            *complete = true;
            return (ssize_t)i + 1;
        }
    }
    return (ssize_t)n;
}

/* Each piece in memory of its own, so that reading past it shows. */
static ssize_t scan_piece(struct json_scan *scan, const char *p, size_t n, bool *complete) {
    char *piece = malloc(n ? n : 1);
    memcpy(piece, p, n);
    ssize_t taken = json_scan(scan, piece, n, complete);
    free(piece);
    return taken;
}

static ssize_t scan_checked(const char *p, size_t n, size_t cut, bool *complete) {
    bool plain_complete;
    ssize_t want = scan_plainly(p, n, &plain_complete);
    struct json_scan scan = {0};
    ssize_t got = scan_piece(&scan, p, n, complete);
    CHECK(want < 0 ? got < 0 : got == want && *complete == plain_complete);
    struct json_scan cut_scan = {0};
    bool cut_complete;
    ssize_t first = scan_piece(&cut_scan, p, cut, &cut_complete);
    if (first == (ssize_t)cut && !cut_complete) {
        ssize_t rest = scan_piece(&cut_scan, p + cut, n - cut, &cut_complete);
        first = rest < 0 ? rest : first + rest;
    }
    CHECK(got < 0 ? first < 0 : first == got && cut_complete == *complete);
    if (got >= 0)
        CHECK(scan.depth == cut_scan.depth && scan.in_string == cut_scan.in_string && scan.escaped == cut_scan.escaped);
    return got;
}

static char *text_pad(const char *p, size_t n) {
    char *text = malloc(n + JSON_PADDING);
    memcpy(text, p, n);
    memset(text + n, '"', JSON_PADDING);
    return text;
}

/* What came out minified must be an object, and come out the same again. */
static void data_check(struct json_parser *parser, struct str data) {
    struct arena arena = {0};
    struct json_member *members, *again;
    size_t n, n_again;
    const char *why;
    char *text = malloc(data.n + JSON_PADDING + 8);
    size_t size = (size_t)sprintf(text, "{\"d\":");
    memcpy(text + size, data.p, data.n);
    size += data.n;
    text[size++] = '}';
    CHECK(json_object_read(parser, (struct str){text, size}, &arena, &members, &n, &why) == 0);
    CHECK(n == 1 && members[0].kind == JSON_KIND_OBJECT && str_eq(members[0].raw, data));
    CHECK(json_object_read(parser, members[0].raw, &arena, &again, &n_again, &why) == 0);
    arena_free(&arena);
    free(text);
}

static void command_check(struct json_parser *parser, const struct command *c, bool transaction) {
    CHECK(c->aggregate_type.n && c->aggregate_id.n);
    CHECK(c->type.n || (transaction && !c->id.n && !c->meta.n));
    CHECK(c->id.n <= 256 && c->correlationid.n <= 256 && c->causationid.n <= 256 && c->traceparent.n <= 256);
    data_check(parser, c->data);
    if (!c->meta.n)
        return;
    char *object = malloc(c->meta.n + 2);
    object[0] = '{';
    memcpy(object + 1, c->meta.p + 1, c->meta.n - 1);
    object[c->meta.n] = '}';
    data_check(parser, (struct str){object, c->meta.n + 1});
    free(object);
}

static void refusal_check(const struct refusal *refusal, int rc) {
    CHECK(rc == OUTCOME_MALFORMED || rc == OUTCOME_INVALID);
    CHECK((int)refusal->outcome == rc);
    size_t n = strnlen(refusal->detail, sizeof refusal->detail);
    CHECK(n > 0 && n < sizeof refusal->detail);
    CHECK(name_is_plain_text((struct str){refusal->detail, n}) || strstr(refusal->detail, "\xef") ||
          strstr(refusal->detail, "\xf0"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static const struct scope scopes[] = {
        {{"", 0}, {"", 0}}, {{"order", 5}, {"", 0}}, {{"order", 5}, {"1001", 4}}, {{"order", 5}, {"1001", 4}}};
    static struct json_parser *parser;
    if (!parser) {
        CHECK(digest_init() == 0);
        parser = json_parser_new();
    }
    if (n < 1)
        return 0;
    const char *p = (const char *)bytes + 1;
    n--;
    bool complete;
    ssize_t taken = scan_checked(p, n, n ? (bytes[0] >> 2) * n / 64 : 0, &complete);
    if (taken < 0 || !complete)
        return 0;
    struct arena arena = {0};
    struct request request;
    struct refusal refusal;
    char *text = text_pad(p, (size_t)taken);
    int rc =
        command_parse(parser, &scopes[bytes[0] & 3], (struct str){text, (size_t)taken}, &arena, &request, &refusal);
    free(text);
    if (rc)
        refusal_check(&refusal, rc);
    for (size_t i = 0; !rc && i < request.n_commands; i++)
        command_check(parser, &request.commands[i], request.transaction);
    arena_free(&arena);
    return 0;
}
