/* What lies at the top of a domain's directory, or in tests/, and is read by nobody. */
#include "domain_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define N(list) (sizeof(list) / sizeof *(list))

static const char *const rooms[] = {"aggregates", "lib", "queries", "schemas", "tests", "views"};
static const char *const files[] = {"kafka.lua"};

static bool is_one_of(const char *name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static bool name_has_end(const char *name, const char *end) {
    struct str stem;
    return domain_name_has_end(name, end, &stem);
}

bool domain_is_for_people(const char *name) {
    return !strncmp(name, "README", 6) || !strncmp(name, "LICENSE", 7) || name_has_end(name, ".md");
}

static bool is_directory(int parent, const char *name) {
    struct stat st;
    return fstatat(parent, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static bool is_of_a_domain(const char *name) {
    return name_has_end(name, ".lua") || name_has_end(name, ".json");
}

static int name_is_of_a_domain(const struct dirent *d) {
    return is_of_a_domain(d->d_name);
}

static bool has_any_of_a_domain(int parent, const char *directory) {
    struct dirent **names = NULL;
    int n = scandirat(parent, directory, &names, name_is_of_a_domain, NULL);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return n > 0;
}

/* --- the top */

/* Without what follows the last dot. */
static struct str stem(const char *name) {
    const char *dot = strrchr(name, '.');
    return (struct str){name, dot ? (size_t)(dot - name) : strlen(name)};
}

static void top_note(int parent, const char *name, struct buf *out) {
    bool directory = is_directory(parent, name);
    char shown[DOMAIN_SHOWN];
    if (directory ? is_one_of(name, rooms, N(rooms)) : is_one_of(name, files, N(files)) || domain_is_for_people(name))
        return;
    const char *file = directory ? NULL : domain_nearest(str_of(name), files, N(files));
    const char *room = file ? NULL : domain_nearest(directory ? str_of(name) : stem(name), rooms, N(rooms));
    if (!file && !room && !(directory ? has_any_of_a_domain(parent, name) : is_of_a_domain(name)))
        return; /* a Makefile, docs/: no part of a domain looks like it */
    buf_printf(out, "%s%s: is not read", domain_shown(str_of(name), shown), directory ? "/" : "");
    if (file || room)
        buf_printf(out, "; did you mean %s%s?\n", file ? file : room, file ? "" : "/");
    else
        buf_put_text(out, ": a domain has aggregates/, lib/, queries/, schemas/, tests/, views/ and kafka.lua\n");
}

/* --- tests/, which `esfsctl test` reads */

static void test_note(int parent, const char *name, struct buf *out) {
    bool directory = is_directory(parent, name);
    char shown[DOMAIN_SHOWN];
    if (!directory && (name_has_end(name, ".lua") || domain_is_for_people(name)))
        return;
    buf_printf(out, "tests/%s%s\n", domain_shown(str_of(name), shown),
               directory ? "/: is not read: tests lie in tests/ itself"
                         : ": is not read: its name does not end in .lua");
}

/* --- */

static int name_is_shown(const struct dirent *d) {
    return d->d_name[0] != '.';
}

static int name_order(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* A directory that is not there, or that may not be read, is no matter of names. */
static int directory_note(int at, const char *directory, void (*note)(int parent, const char *name, struct buf *out),
                          struct buf *out) {
    struct dirent **names = NULL;
    int fd = openat(at, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int n = fd < 0 ? -1 : scandirat(fd, ".", &names, name_is_shown, name_order);
    int r = n < 0 && errno == ENOMEM ? -ENOMEM : 0;
    for (int i = 0; i < n; i++) {
        note(fd, names[i]->d_name, out);
        free(names[i]);
    }
    free(names);
    if (fd >= 0)
        close(fd);
    return r;
}

int domain_unread_lint(const struct domain *d, struct buf *out) {
    int root = open(d->directory.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return 0;
    int r = directory_note(root, ".", top_note, out);
    if (r == 0)
        r = directory_note(root, "tests", test_note, out);
    close(root);
    return r;
}
