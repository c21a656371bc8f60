/* For tests of domains: directories made from texts, which go away. */
#ifndef ESFS_TEST_LIB_DOMAIN_H
#define ESFS_TEST_LIB_DOMAIN_H

#include "domain.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LIB_DOMAIN_PATH 1024

struct lib_domain {
    char dir[128];
    struct domain_options options;
    struct domain *d;
    struct err err;
};

static inline char *lib_domain_path(const struct lib_domain *l, const char *name) {
    static char path[LIB_DOMAIN_PATH];
    snprintf(path, sizeof path, "%s/%s", l->dir, name);
    return path;
}

/* The directories that a file lies in. */
static inline void lib_domain_mkdir(const struct lib_domain *l, const char *name) {
    char *path = lib_domain_path(l, name);
    for (char *slash = path + strlen(l->dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static inline void lib_domain_put_bytes(const struct lib_domain *l, const char *name, struct str bytes) {
    lib_domain_mkdir(l, name);
    FILE *f = fopen(lib_domain_path(l, name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

static inline void lib_domain_put(const struct lib_domain *l, const char *name, const char *text) {
    lib_domain_put_bytes(l, name, str_of(text));
}

static inline void lib_domain_remove(const struct lib_domain *l, const char *name) {
    assert_int_equal(remove(lib_domain_path(l, name)), 0);
}

static inline int lib_domain_load(struct lib_domain *l) {
    domain_unref(l->d);
    l->d = NULL;
    l->err = (struct err){0};
    return domain_load(&l->d, l->dir, &l->options, &l->err);
}

static inline void lib_domain_reload(struct lib_domain *l) {
    if (lib_domain_load(l) != 0)
        fail_msg("%s", l->err.text);
}

/* The directory must be refused with words that hold these. */
static inline void lib_domain_refused(struct lib_domain *l, int code, const char *words) {
    int r = lib_domain_load(l);
    if (r == 0)
        fail_msg("was loaded, but should have said: %s", words);
    if (!strstr(l->err.text, words))
        fail_msg("says: %s\nnot: %s", l->err.text, words);
    assert_int_equal(r, -code);
    assert_int_equal(l->err.code, code);
    assert_null(l->d);
}

static inline int lib_domain_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void lib_domain_begin(struct lib_domain *l) {
    const char *tmp = getenv("TMPDIR");
    *l = (struct lib_domain){0};
    snprintf(l->dir, sizeof l->dir, "%s/esfs-domain-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(l->dir));
    assert_int_equal(digest_init(), 0);
}

static inline void lib_domain_end(struct lib_domain *l) {
    domain_unref(l->d);
    nftw(l->dir, lib_domain_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const struct domain_type *lib_domain_type(const struct lib_domain *l, const char *name) {
    const struct domain_type *t = domain_type(l->d, str_of(name));
    assert_non_null(t);
    return t;
}

static inline const struct domain_event *lib_domain_event(const struct domain_type *t, const char *name) {
    const struct domain_event *e = domain_event(t, str_of(name));
    assert_non_null(e);
    return e;
}

static inline const struct domain_command *lib_domain_command(const struct domain_type *t, const char *name) {
    const struct domain_command *c = domain_command(t, str_of(name));
    assert_non_null(c);
    return c;
}

#endif
