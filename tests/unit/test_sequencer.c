/* sequencer.c by itself: when it tells of a block. */
#include "sequencer.h"

#include "lib_store.h"

struct follower {
    struct index *index;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint64_t told; /* times */
    uint64_t head; /* block that readers saw when told last */
    uint64_t unanswered_when_told;
    uint64_t submitted, answered;
};

static void advanced(void *arg) {
    struct follower *f = arg;
    struct index_head head;
    index_head(f->index, &head);
    pthread_mutex_lock(&f->lock);
    f->told++;
    assert_true(head.block > f->head);
    f->head = head.block;
    f->unanswered_when_told = f->submitted - f->answered;
    pthread_mutex_unlock(&f->lock);
}

static void answered(struct job *job) {
    struct follower *f = job->owner;
    pthread_mutex_lock(&f->lock);
    f->answered++;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

static enum outcome make(struct sequencer *s, struct follower *f, const char *type) {
    struct job job = {.kind = JOB_DECLARE, .caller = lib_caller, .type = str_of(type), .done = answered, .owner = f};
    pthread_mutex_lock(&f->lock);
    uint64_t want = ++f->submitted;
    pthread_mutex_unlock(&f->lock);
    sequencer_submit(s, &job);
    pthread_mutex_lock(&f->lock);
    while (f->answered < want)
        pthread_cond_wait(&f->cond, &f->lock);
    pthread_mutex_unlock(&f->lock);
    return job.refusal.outcome;
}

static void who_follows_is_told_of_a_block_before_its_writers_are(void **state) {
    (void)state;
    char dir[LIB_PATH];
    struct err err = {0};
    struct home *home;
    struct db *db;
    struct sequencer *s;
    struct follower f = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    lib_dir_make(dir);
    assert_int_equal(digest_init(), 0);
    assert_int_equal(home_open(&home, dir, &(struct home_options){0}, &err), 0);
    assert_int_equal(db_open(&db, home_db_path(home), &(struct db_options){.create = true}, &err), 0);
    assert_int_equal(index_open(&f.index, db, home_id(home), false, &err), 0);
    struct sequencer_options options = {
        .db = db, .index = f.index, .home = home, .sync = true, .advanced = advanced, .arg = &f};
    assert_int_equal(sequencer_new(&s, &options), 0);
    for (uint64_t i = 1; i <= 5; i++) {
        const char type[] = {'t', (char)('0' + i), '\0'};
        assert_int_equal(make(s, &f, type), OUTCOME_OK);
        assert_int_equal(f.told, i);
        assert_int_equal(f.head, i);
        assert_int_equal(f.unanswered_when_told, 1);
    }
    assert_int_equal(make(s, &f, "t3"), OUTCOME_EXISTS); /* which puts nothing into a block */
    assert_int_equal(f.told, 5);
    sequencer_free(s);
    options.advanced = NULL; /* nobody follows */
    assert_int_equal(sequencer_new(&s, &options), 0);
    assert_int_equal(make(s, &f, "more"), OUTCOME_OK);
    assert_int_equal(f.told, 5);
    sequencer_free(s);
    index_close(f.index);
    db_close(db);
    home_close(home);
    lib_dir_remove(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_follows_is_told_of_a_block_before_its_writers_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
