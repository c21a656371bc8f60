/* handlers.c through the front door: requests that are refused midway, commands with any number of events, and a domain
 * that changes while commands come in. */
#include "digest.h"
#include "lib_domain.h"
#include "lib_store.h"

#include <stdatomic.h>

static const char account[] =
    "return {\n"
    "  initial = function() return { sum = 0, n = 0 } end,\n"
    "  unique = { name = function(s) return s.name end },\n"
    "  commands = {\n"
    "    Add = { decide = function(s, c)\n"
    "      if c.data.n < 0 then reject(\"negative\") end\n"
    "      return event(\"Added\", { n = c.data.n, by = 1 })\n"
    "    end },\n"
    "    Many = { decide = function(s, c)\n"
    "      local all = {}\n"
    "      for i = 1, c.data.n do all[i] = event(\"Added\", { n = 1, by = i }) end\n"
    "      return table.unpack(all)\n"
    "    end },\n"
    "    Take = { decide = function(s, c, get) return event(\"Added\", { n = get(c.data.from).sum, by = 1 }) end },\n"
    "    Name = { decide = function(s, c) return event(\"Named\", { name = c.data.name }) end },\n"
    "    Is = { decide = function(s, c)\n"
    "      if s.sum ~= c.data.sum or s.n ~= c.data.n then reject(\"sum \" .. s.sum .. \", n \" .. s.n) end\n"
    "    end },\n"
    "    Nothing = { decide = function() end },\n"
    "    Break = { decide = function() error(\"broken\") end },\n"
    "    Spoil = { decide = function() return event(\"Added\", { n = 1, by = 1 }), event(\"Spoilt\", {}) end },\n"
    "  },\n"
    "  events = {\n"
    "    Added = { evolve = function(s, e) s.sum = s.sum + e.data.n s.n = s.n + 1 end },\n"
    "    Named = { evolve = function(s, e) s.name = e.data.name s.n = s.n + 1 end },\n"
    "    Spoilt = { evolve = function(s) s.nothing.at.all = 1 end },\n"
    "  },\n"
    "}\n";

struct fixture {
    struct lib_store l;
    struct lib_domain domain;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/account.lua", account);
    lib_store_begin(&f->l, f->domain.dir);
    lib_store_open(&f->l);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    lib_store_end(&f->l);
    lib_domain_end(&f->domain);
    free(f);
    return 0;
}

static void reopen(struct fixture *f) {
    lib_store_close(&f->l);
    lib_store_open(&f->l);
}

/* Sends what must be accepted. */
static void send(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void send(struct fixture *f, const char *format, ...) {
    char text[512], *results;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (lib_send(&f->l, "", "", text, &results) != (ssize_t)strlen(text))
        fail_msg("%s: %s", text, results);
    free(results);
}

/* What the deciders see. */
static void is(struct fixture *f, const char *id, int sum, int n) {
    send(f, "{\"aggregate\":\"account/%s\",\"type\":\"Is\",\"data\":{\"sum\":%d,\"n\":%d}}", id, sum, n);
}

static uint64_t position(struct fixture *f) {
    struct index_head head;
    index_head(store_index(f->l.store), &head);
    return head.position;
}

/* --- transactions that are refused */

#define ADD(id, n) "{\"aggregate\":\"account/" id "\",\"type\":\"Add\",\"data\":{\"n\":" #n "}}"
#define NAME(id, name) "{\"aggregate\":\"account/" id "\",\"type\":\"Name\",\"data\":{\"name\":\"" name "\"}}"
#define BARE(id, type) "{\"aggregate\":\"account/" id "\",\"type\":\"" type "\"}"

static const struct {
    const char *text, *result;
    enum outcome outcome;
} refused[] = {
    {"[" ADD("1", 5) "," ADD("2", -1) "]", "{\"index\":1,\"detail\":\"negative\"}", OUTCOME_REJECTED},
    {"[" ADD("1", 5) "," ADD("1", 6) "," ADD("1", -1) "]", "{\"index\":2}", OUTCOME_REJECTED},
    {"[" ADD("9", 5) "," ADD("1", 5) "," ADD("8", -1) "]", "{\"index\":2}", OUTCOME_REJECTED},
    {"[" ADD("1", 5) "," BARE("2", "Break") "]", "{\"index\":1}", OUTCOME_HANDLER_FAILED},
    {"[" ADD("1", 5) "," ADD("2", 5) "," BARE("1", "Spoil") "]", "{\"index\":2}", OUTCOME_HANDLER_FAILED},
    {"[" ADD("1", 5) ",{\"aggregate\":\"account/2\",\"type\":\"Add\",\"data\":{\"n\":1},\"expectedVersion\":7}]",
     "{\"index\":1}", OUTCOME_CONFLICT},
    {"[" ADD("1", 5) ",{\"aggregate\":\"account/1\",\"expectedVersion\":1}]", "{\"index\":1}", OUTCOME_CONFLICT},
    {"[" NAME("2", "free") "," NAME("1", "free too") "," ADD("2", -1) "]", "{\"index\":2}", OUTCOME_REJECTED},
    {"[" NAME("2", "free") "," ADD("1", 5) "," NAME("1", "taken") "]",
     "{\"index\":2,\"detail\":\"name \\\"taken\\\" is held by account/3\"}", OUTCOME_NOT_UNIQUE},
    {"[" NAME("1", "free") "," ADD("2", 5) "," NAME("2", "free") "]", "{\"index\":2}", OUTCOME_NOT_UNIQUE},
    {"[" NAME("9", "free") "," NAME("8", "free") "]", "{\"index\":1}", OUTCOME_NOT_UNIQUE},
    {"[" NAME("3", "given up") "," NAME("1", "taken") "," ADD("2", -1) "]", "{\"index\":2}", OUTCOME_REJECTED},
};

static void refuse(struct fixture *f, size_t i) {
    char *results;
    assert_int_equal(lib_send(&f->l, "", "", refused[i].text, &results), -outcome_errno(refused[i].outcome));
    LINE_HAS(results, 0, refused[i].result);
    free(results);
}

static void a_refused_transaction_changes_nothing(void **state) {
    struct fixture *f = *state;
    int sum = 1, n = 1;
    send(f, "%s", ADD("1", 1));
    send(f, "%s", ADD("2", 2));
    send(f, "%s", NAME("3", "taken"));
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
            uint64_t before = position(f);
            refuse(f, i);
            assert_int_equal(position(f), before);
            is(f, "1", sum, n);
            is(f, "2", 2, 1);
            is(f, "3", 0, 1);
            assert_int_equal(lib_version(&f->l, "account", "9"), -1);
            send(f, "%s", ADD("1", 1)); /* on the state that was folded again */
            is(f, "1", ++sum, ++n);
        }
        reopen(f);
        is(f, "1", sum, n);
    }
    /* names that were not taken are free, the one that was not given up is not */
    refuse(f, 8);
    send(f, "[%s,%s]", NAME("2", "free"), NAME("1", "given up"));
    send(f, "[%s,%s]", NAME("3", "mine"), NAME("2", "taken"));
}

struct refuser {
    pthread_t thread;
    struct fixture *f;
    atomic_bool stop;
    int failed;
};

static void *refuse_on(void *arg) {
    struct refuser *r = arg;
    for (size_t i = 0; !atomic_load(&r->stop); i = (i + 1) % 7)
        r->failed += lib_send(&r->f->l, "", "", refused[i].text, NULL) != -outcome_errno(refused[i].outcome);
    return NULL;
}

/* Requests are refused between others: what is folded again then is not applied yet. */
static void states_are_folded_again_from_events_on_their_way(void **state) {
    struct fixture *f = *state;
    struct refuser r = {.f = f};
    struct buf text = {0};
    send(f, "%s%s", ADD("1", 3), ADD("2", 4));
    for (int k = 0; k < 200; k++)
        buf_put_text(&text, ADD("1", 3) ADD("2", 4));
    assert_int_equal(pthread_create(&r.thread, NULL, refuse_on, &r), 0);
    struct channel *c = lib_channel(&f->l, "", "");
    ssize_t taken = 0;
    for (int i = 0; i < 20 && taken >= 0; i++)
        taken = lib_write(c, text.p, text.n) == (ssize_t)text.n ? 0 : -1;
    channel_free(c);
    atomic_store(&r.stop, true);
    pthread_join(r.thread, NULL);
    assert_int_equal(taken, 0);
    assert_int_equal(r.failed, 0);
    for (int again = 0; again < 2; again++) {
        is(f, "1", 3 * 4001, 4001);
        is(f, "2", 4 * 4001, 4001);
        reopen(f);
    }
    buf_free(&text);
}

static void a_transaction_sees_what_it_has_done(void **state) {
    struct fixture *f = *state;
    send(f,
         "[%s,{\"aggregate\":\"account/2\",\"type\":\"Take\",\"data\":{\"from\":\"account/1\"}},%s,"
         "{\"aggregate\":\"account/2\",\"type\":\"Is\",\"data\":{\"sum\":9,\"n\":2}}]",
         ADD("1", 4), ADD("2", 5));
    is(f, "2", 9, 2);
}

/* --- commands of no event and of many */

static void a_command_without_events_is_remembered_by_its_id_alone(void **state) {
    struct fixture *f = *state;
    static const char with_id[] = "{\"aggregate\":\"account/b\",\"type\":\"Nothing\",\"id\":\"k1\"}";
    char *results;
    size_t n;
    for (int i = 0; i < 3; i++) {
        assert_true(lib_send(&f->l, "", "", BARE("a", "Nothing"), &results) > 0);
        LINE_HAS(results, 0, "{\"status\":\"appended\",\"version\":0,\"events\":[],\"duplicate\":null}");
        free(results);
        assert_int_equal(lib_version(&f->l, "account", "a"), -1);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(lib_send(&f->l, "", "", with_id, &results) > 0);
        LINE_HAS(results, 0, "{\"status\":\"appended\",\"version\":0,\"events\":[],\"commandid\":\"k1\"}");
        LINE_HAS(results, 0, i ? "{\"duplicate\":true}" : "{\"duplicate\":null}");
        free(results);
        assert_int_equal(lib_version(&f->l, "account", "b"), 0);
        if (i == 1)
            reopen(f);
    }
    assert_int_equal(lib_send(&f->l, "", "",
                              "{\"aggregate\":\"account/b\",\"type\":\"Nothing\",\"data\":{\"other\":1},\"id\":\"k1\"}",
                              NULL),
                     -EEXIST);
    send(f, "%s", ADD("b", 3));
    send(f, "{\"aggregate\":\"account/b\",\"type\":\"Nothing\",\"id\":\"k2\"}");
    assert_true(lib_send(&f->l, "", "", "{\"aggregate\":\"account/b\",\"type\":\"Nothing\",\"id\":\"k2\"}", &results) >
                0);
    LINE_HAS(results, 0, "{\"version\":1,\"events\":[],\"duplicate\":true}");
    free(results);
    char *log = lib_log(&f->l, &n);
    assert_int_equal(lib_count(log, "\n"), 1);
    free(log);
}

static void a_transaction_may_hold_commands_without_events(void **state) {
    struct fixture *f = *state;
    static const char text[] = "[{\"aggregate\":\"account/n\",\"type\":\"Nothing\",\"id\":\"k1\"},"
                               "{\"aggregate\":\"account/n\",\"type\":\"Add\",\"data\":{\"n\":3},\"id\":\"k2\"},"
                               "{\"aggregate\":\"account/m\",\"type\":\"Nothing\"},"
                               "{\"aggregate\":\"account/n\",\"type\":\"Nothing\",\"id\":\"k3\"}]";
    for (int i = 0; i < 3; i++) {
        char *results;
        assert_int_equal(lib_send(&f->l, "", "", text, &results), strlen(text));
        assert_int_equal(lib_count(results, "\"duplicate\":true"), i ? 4 : 0);
        free(results);
        is(f, "n", 3, 1);
        assert_int_equal(lib_version(&f->l, "account", "m"), -1);
        reopen(f);
    }
}

/* The line less its `duplicate`. */
static char *original(const char *line) {
    char *copy = strdup(line), *mark = strstr(copy, ",\"duplicate\":true");
    if (mark)
        memmove(mark, mark + strlen(",\"duplicate\":true"), strlen(mark + strlen(",\"duplicate\":true")) + 1);
    return copy;
}

static void a_duplicate_is_told_all_its_events(void **state) {
    struct fixture *f = *state;
    static const char many[] = "{\"aggregate\":\"account/d\",\"type\":\"Many\",\"data\":{\"n\":3},\"id\":\"m\"}";
    char text[3 * sizeof many], *results, *first = NULL;
    send(f, "%s", ADD("d", 1));
    snprintf(text, sizeof text, "%s%s%s", many, many, many); /* the first one is on its way when the others come */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lib_send(&f->l, "", "", text, &results), strlen(text));
        assert_int_equal(lib_count(results, "\"duplicate\":true"), i ? 3 : 2);
        for (size_t k = 0; k < 3; k++) {
            LINE_HAS(results, k, "{\"version\":4,\"position\":\"0000000000000004\"}");
            char *line = lib_line(results, k), *bare = original(line);
            if (!first)
                first = strdup(bare);
            assert_string_equal(bare, first);
            free(line);
            free(bare);
        }
        free(results);
        is(f, "d", 4, 4);
        reopen(f);
    }
    assert_int_equal(lib_count(first, "-"), 3 * 4); /* of three ids */
    free(first);
}

/* --- a domain that changes while commands come in */

struct writer {
    pthread_t thread;
    struct fixture *f;
    const char *id;
    int n, failed;
};

static void *write_on(void *arg) {
    struct writer *w = arg;
    char text[96];
    snprintf(text, sizeof text, "{\"aggregate\":\"account/%s\",\"type\":\"Add\",\"data\":{\"n\":1}}", w->id);
    for (int i = 0; i < w->n; i++)
        w->failed += lib_send(&w->f->l, "", "", text, NULL) != (ssize_t)strlen(text);
    return NULL;
}

/* The same, but for who says that he did it, and for a number in the fold's file. */
static void change(struct fixture *f, int by) {
    char copy[sizeof account + 16];
    struct err err = {0};
    strcpy(copy, account);
    char *mark = strstr(copy, "by = 1");
    mark[5] = (char)('0' + by);
    lib_domain_put(&f->domain, "aggregates/account.lua", copy);
    if (store_reload(f->l.store, &err) != 0)
        fail_msg("%s", err.text);
}

/* How many events each domain has made, which come one after the other. */
static void count_by(const char *stream, int by[10]) {
    int last = 0;
    for (const char *at = stream; (at = strstr(at, "\"by\":")); at++) {
        int who = at[5] - '0';
        assert_in_range(who, last ? last : 1, 9);
        last = who;
        by[who]++;
    }
}

static void no_command_is_lost_or_decided_twice_while_a_domain_is_adopted(void **state) {
    struct fixture *f = *state;
    enum { WRITERS = 3, EACH = 250, DOMAINS = 6 };
    struct writer writers[WRITERS];
    static const char *const ids[] = {"x", "y", "z"};
    int by[10] = {0}, all = 0;
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.f = f, .id = ids[i], .n = EACH};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    for (int by_now = 2; by_now <= DOMAINS; by_now++) {
        uint64_t before = position(f);
        change(f, by_now);
        send(f, "%s", ADD("main", 1));
        for (int waits = 0; position(f) < before + 20 && waits < 200; waits++)
            usleep(1000);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].failed, 0);
        is(f, ids[i], EACH, EACH);
    }
    send(f, "%s", ADD("main", 1));
    size_t n;
    char *log = lib_log(&f->l, &n);
    count_by(log, by);
    free(log);
    for (int i = 2; i <= DOMAINS; i++)
        assert_true(by[i] > 0);
    for (int i = 1; i < 10; i++)
        all += by[i];
    assert_int_equal(all, WRITERS * EACH + DOMAINS);
    reopen(f);
    is(f, "y", EACH, EACH);
}

struct flood {
    pthread_t thread;
    struct fixture *f;
    atomic_bool over;
    int sent;
};

static void *flood_on(void *arg) {
    struct flood *w = arg;
    while (!atomic_load(&w->over)) {
        send(w->f, "%s", "{\"aggregate\":\"account/flood\",\"type\":\"Many\",\"data\":{\"n\":100}}");
        w->sent += 100;
        usleep(5000);
    }
    return NULL;
}

/* What is folded anew so slowly that writers outrun it is folded while they wait. */
static void a_domain_is_adopted_though_writers_are_faster(void **state) {
    struct fixture *f = *state;
    char slow[sizeof account + 64];
    struct err err = {0};
    for (int i = 0; i < 4; i++)
        send(f, "%s", "{\"aggregate\":\"account/many\",\"type\":\"Many\",\"data\":{\"n\":100}}");
    const char *at = strstr(account, "s.sum = s.sum");
    snprintf(slow, sizeof slow, "%.*sfor i = 1, 40000 do end %s", (int)(at - account), account, at);
    lib_domain_put(&f->domain, "aggregates/account.lua", slow);
    struct flood w = {.f = f};
    assert_int_equal(pthread_create(&w.thread, NULL, flood_on, &w), 0);
    int r = store_reload(f->l.store, &err);
    atomic_store(&w.over, true);
    pthread_join(w.thread, NULL);
    if (r != 0)
        fail_msg("%s", err.text);
    is(f, "many", 400, 400);
    is(f, "flood", w.sent, w.sent);
}

#define HANDLERS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        HANDLERS_TEST(a_refused_transaction_changes_nothing),
        HANDLERS_TEST(states_are_folded_again_from_events_on_their_way),
        HANDLERS_TEST(a_transaction_sees_what_it_has_done),
        HANDLERS_TEST(a_command_without_events_is_remembered_by_its_id_alone),
        HANDLERS_TEST(a_transaction_may_hold_commands_without_events),
        HANDLERS_TEST(a_duplicate_is_told_all_its_events),
        HANDLERS_TEST(no_command_is_lost_or_decided_twice_while_a_domain_is_adopted),
        HANDLERS_TEST(a_domain_is_adopted_though_writers_are_faster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
