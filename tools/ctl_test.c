/* esfsctl test [--only NAME] DIR: runs the tests of a domain, DIR/tests/<name>.lua, without a mount and without a
 * store. What failed goes to stdout, the exit status is 1 then. */
#include "array.h"
#include "ctl.h"
#include "ctl_test_words.h"
#include "name.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES (8 << 20)

struct run {
    const char *directory, *only;
    struct domain *domain;
    struct arena arena; /* texts of libraries, for the file that is run */
    bool colours;
    size_t passed, failed;
};

/* --- files */

/* The text of DIR/<room>/<name>. */
static int file_read(struct run *run, const char *room, const char *name, struct str *out, struct err *err) {
    struct buf path = {0}, text = {0};
    buf_printf(&path, "%s/%s/%s", run->directory, room, name);
    buf_put_char(&path, '\0');
    FILE *f = path.oom ? NULL : fopen(path.p, "r");
    int code = f ? 0 : errno;
    for (size_t n = 1; f && n > 0 && text.n <= FILE_BYTES && buf_reserve(&text, 64 << 10); text.n += n)
        n = fread(text.p + text.n, 1, 64 << 10, f);
    if (f && ferror(f))
        code = errno;
    if (f)
        fclose(f);
    buf_free(&path);
    *out = arena_copy(&run->arena, buf_str(&text));
    bool large = text.n > FILE_BYTES, oom = text.oom || (text.n && !out->p);
    buf_free(&text);
    if (code || oom)
        return err_set(err, oom ? ENOMEM : code, "%s/%s: %s", room, name, strerror(oom ? ENOMEM : code));
    return large ? err_set(err, EINVAL, "%s/%s: is larger than 8 MiB", room, name) : 0;
}

static bool library_find(void *arg, struct str name, struct str *text) {
    char file[NAME_MAX_BYTES + 8];
    if (name_fault(name))
        return false;
    snprintf(file, sizeof file, "%.*s.lua", (int)name.n, name.p);
    return file_read(arg, "lib", file, text, NULL) == 0;
}

static int is_test_file(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n > 4 && d->d_name[0] != '.' && strcmp(d->d_name + n - 4, ".lua") == 0;
}

/* --- running */

static void failed(struct run *run, const struct buf *report) {
    run->failed++;
    printf("%.*s\n", (int)report->n, report->p);
}

static bool is_wanted(const struct run *run, const char *test) {
    return !run->only || strstr(test, run->only);
}

static int tests_run(struct run *run, struct words *w) {
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < words_count(w); i++) {
        struct buf report = {0};
        if (!is_wanted(run, words_test(w, i)))
            continue;
        rc = words_run(w, i, &report);
        if (rc == WORDS_FAILED)
            failed(run, &report);
        else
            run->passed += rc == WORDS_PASSED;
        buf_free(&report);
    }
    return rc < 0 ? rc : 0;
}

/* A file that cannot be read or run is a failure, and the others go on. */
static void file_failed(struct run *run, const struct script_fault *fault, const char *name) {
    struct buf report = {0};
    if (fault->line)
        buf_printf(&report, "%s:%d: %s\n", fault->file, fault->line, fault->text);
    else
        buf_printf(&report, "%s: %s\n", name, fault->text);
    failed(run, &report);
    buf_free(&report);
}

static int file_run(struct run *run, const char *name, struct err *err) {
    char shown[sizeof "tests/" + 255];
    const struct words_options options = {run->domain, library_find, run, run->colours};
    struct script_fault fault = {0};
    struct err why = {0};
    struct words *w = NULL;
    struct str text;
    snprintf(shown, sizeof shown, "tests/%s", name);
    arena_reset(&run->arena, 1 << 20);
    if (file_read(run, "tests", name, &text, &why) < 0) {
        snprintf(fault.text, sizeof fault.text, "%s", strerror(why.code));
        file_failed(run, &fault, shown);
        return 0;
    }
    int rc = words_new(&w, &options, err);
    if (rc < 0)
        return rc;
    rc = words_load(w, shown, text, &fault);
    if (rc > 0)
        file_failed(run, &fault, shown);
    else if (rc == 0)
        rc = tests_run(run, w);
    words_free(w);
    return rc < 0 ? err_set(err, -rc, "out of memory") : 0;
}

static int files_run(struct run *run, struct err *err) {
    struct buf path = {0};
    struct dirent **files = NULL;
    buf_printf(&path, "%s/tests", run->directory);
    buf_put_char(&path, '\0');
    int n = path.oom ? -1 : scandir(path.p, &files, is_test_file, alphasort), rc = 0;
    if (n < 0)
        rc = err_set(err, errno, "%s: %s", path.p ? path.p : "", strerror(errno));
    else if (n == 0)
        rc = err_set(err, ENOENT, "%s: there are no files <name>.lua", path.p);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = file_run(run, files[i]->d_name, err);
        free(files[i]);
    }
    free(files);
    buf_free(&path);
    return rc;
}

/* --- the verb */

/* What `check` would say does not fail a test. */
static void lint_print(const struct domain *d) {
    struct buf lines = {0};
    if (domain_lint(d, &lines) == 0 && lines.n)
        fprintf(stderr, "%.*s\n", (int)lines.n, lines.p);
    buf_free(&lines);
}

static int run_tests(struct run *run) {
    const struct domain_options options = {0};
    struct err err = {0};
    if (domain_load(&run->domain, run->directory, &options, &err) < 0)
        return ctl_fail("test", err.text);
    lint_print(run->domain);
    int rc = files_run(run, &err);
    domain_unref(run->domain);
    arena_free(&run->arena);
    if (rc < 0)
        return ctl_fail("test", err.text);
    if (run->passed + run->failed == 0)
        return ctl_fail("test", run->only ? "no test has this in its name" : "there are no tests");
    printf("%zu passed, %zu failed\n", run->passed, run->failed);
    if (fflush(stdout) == EOF)
        return ctl_fail("test", "cannot write");
    return run->failed ? CTL_FAILED : 0;
}

int test_main(int argc, char **argv) {
    struct run run = {.colours = isatty(STDOUT_FILENO)};
    int at = 1;
    if (argc > 3 && strcmp(argv[1], "--only") == 0) {
        run.only = argv[2];
        at = 3;
    } else if (argc == 4 && strcmp(argv[2], "--only") == 0) {
        run.only = argv[3];
        argc = 2;
    }
    if (at + 1 != argc || argv[at][0] == '-')
        return ctl_usage(argv[0], "[--only NAME] DIR");
    run.directory = argv[at];
    return run_tests(&run);
}
