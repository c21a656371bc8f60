#include "domain_private.h"

#include "array.h"
#include "name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024 /* schemas/, two names of at most 255 bytes and commands/ */

struct walk {
    struct domain_files *files;
    struct arena *arena;
    struct err *err;
    struct buf bytes; /* of the file being read */
    size_t seen, total;
};

/* What a directory holds. */
struct entry {
    int directory;
    const char *name;
    char path[PATH_BYTES]; /* below the domain's directory */
    bool is_directory;
    enum domain_file_kind kind; /* of the files of this directory */
    struct str type;            /* whose schemas these are */
};

typedef int entry_visit(struct walk *w, const struct entry *e);

static int entry_fault(struct walk *w, const struct entry *e, const char *words) {
    char shown[DOMAIN_SHOWN];
    return err_set(w->err, EINVAL, "%s: %s", domain_shown(str_of(e->path), shown), words);
}

static int entry_failed(struct walk *w, const char *path, int code) {
    char shown[DOMAIN_SHOWN];
    return err_set(w->err, code, "%s: %s", domain_shown(str_of(path), shown), strerror(code));
}

/* --- files */

/* Reads to the end, or to one byte past the limit. */
static int file_read_open(struct walk *w, int fd) {
    buf_clear(&w->bytes);
    for (;;) {
        char *room = buf_reserve(&w->bytes, 64 << 10);
        if (!room)
            return -ENOMEM;
        ssize_t n = read(fd, room, 64 << 10);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        w->bytes.n += (size_t)n;
        if (n == 0 || w->bytes.n > DOMAIN_FILE_BYTES)
            return 0;
    }
}

static int file_bytes_read(struct walk *w, const struct entry *e) {
    struct stat st;
    /* A pipe in the place of a file, put there since it was looked at, must not make this wait. */
    int fd = openat(e->directory, e->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return entry_failed(w, e->path, errno);
    int r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? file_read_open(w, fd) : -EINVAL;
    close(fd);
    if (r < 0)
        return entry_failed(w, e->path, -r);
    if (w->bytes.n > DOMAIN_FILE_BYTES)
        return entry_fault(w, e, "is larger than the 8 MiB that a file of a domain may have");
    w->total += w->bytes.n;
    return w->total > DOMAIN_TOTAL_BYTES ? entry_fault(w, e, "with this file the domain is larger than 256 MiB") : 0;
}

static struct str text_keep(struct walk *w) {
    char *text = arena_alloc(w->arena, w->bytes.n + JSON_PADDING);
    if (!text)
        return (struct str){NULL, 0};
    if (w->bytes.n)
        memcpy(text, w->bytes.p, w->bytes.n);
    memset(text + w->bytes.n, 0, JSON_PADDING);
    return (struct str){text, w->bytes.n};
}

static int file_add(struct walk *w, const struct entry *e, struct domain_file file) {
    int r = file_bytes_read(w, e);
    if (r < 0)
        return r;
    file.kind = e->kind;
    file.path = domain_name_copy(w->arena, str_of(e->path));
    file.type = domain_name_copy(w->arena, file.type);
    file.name = domain_name_copy(w->arena, file.name);
    file.text = text_keep(w);
    if (!file.path.p || !file.type.p || !file.name.p || !file.text.p ||
        !ARRAY_ROOM(w->files->items, w->files->n, w->files->cap))
        return err_set(w->err, ENOMEM, "out of memory");
    w->files->items[w->files->n++] = file;
    return 0;
}

/* --- directories */

static int name_is_shown(const struct dirent *d) {
    return d->d_name[0] != '.';
}

static int name_order(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int entry_look(struct walk *w, int fd, struct entry *e) {
    struct stat st;
    e->directory = fd;
    if (++w->seen > DOMAIN_FILES)
        return err_set(w->err, EINVAL, "%s: the domain has more than %d files", e->path, DOMAIN_FILES);
    if (fstatat(fd, e->name, &st, 0) < 0)
        return entry_failed(w, e->path, errno);
    e->is_directory = S_ISDIR(st.st_mode);
    if (!e->is_directory && !S_ISREG(st.st_mode))
        return entry_fault(w, e, "is neither a regular file nor a directory");
    return 0;
}

static int names_visit(struct walk *w, int fd, const struct entry *parent, entry_visit *visit) {
    struct dirent **names = NULL;
    int n = scandirat(fd, ".", &names, name_is_shown, name_order), r = 0;
    if (n < 0)
        return entry_failed(w, parent->path, errno);
    for (int i = 0; i < n; i++) {
        struct entry e = {.name = names[i]->d_name, .kind = parent->kind, .type = parent->type};
        if (r == 0 && snprintf(e.path, sizeof e.path, "%s/%s", parent->path, e.name) >= (int)sizeof e.path)
            r = entry_fault(w, &e, "the name is too long");
        if (r == 0)
            r = entry_look(w, fd, &e);
        if (r == 0)
            r = visit(w, &e);
        free(names[i]);
    }
    free(names);
    return r;
}

/* Visits what a directory holds, in the order of the bytes of the names. */
static int directory_visit(struct walk *w, const struct entry *e, entry_visit *visit) {
    int fd = openat(e->directory, e->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return entry_failed(w, e->path, errno);
    int r = names_visit(w, fd, e, visit);
    close(fd);
    return r;
}

/* --- what is there */

bool domain_name_has_end(const char *name, const char *end, struct str *stem) {
    size_t n = strlen(name), m = strlen(end);
    if (n < m || strcmp(name + n - m, end))
        return false;
    *stem = (struct str){name, n - m};
    return true;
}

/* Neither read nor wrong, but worth a word, unless it is plainly for people. */
static int entry_pass(struct walk *w, const struct entry *e, const char *ending) {
    char shown[DOMAIN_SHOWN];
    if (domain_is_for_people(e->name))
        return 0;
    buf_printf(&w->files->unread, "%s: is not read: its name does not end in %s\n",
               domain_shown(str_of(e->path), shown), ending);
    return 0;
}

static int name_check(struct walk *w, const struct entry *e, struct str name, const char *what) {
    char shown[DOMAIN_SHOWN];
    const char *why = name_fault(name);
    return why ? err_set(w->err, EINVAL, "%s: the name of %s %s", domain_shown(str_of(e->path), shown), what, why) : 0;
}

static int definition_visit(struct walk *w, const struct entry *e) {
    struct str type;
    if (e->is_directory)
        return entry_fault(w, e,
                           "is a directory: aggregates/ holds a file <type>.lua for each type, and schemas lie in "
                           "schemas/<type>/");
    if (!domain_name_has_end(e->name, ".lua", &type))
        return entry_pass(w, e, ".lua");
    int r = name_check(w, e, type, "an aggregate type");
    if (r == 0 && name_is_reserved_type(type))
        r = entry_fault(w, e,
                        "no aggregate type can have this name: the mounted tree has a file or directory so named");
    return r < 0 ? r : file_add(w, e, (struct domain_file){.type = type});
}

/* A file that is known by its name alone: a library, a view, a query. */
static int named_visit(struct walk *w, const struct entry *e, const char *what, const char *directory) {
    struct str name;
    if (e->is_directory)
        return entry_fault(w, e, directory);
    if (!domain_name_has_end(e->name, ".lua", &name))
        return entry_pass(w, e, ".lua");
    int r = name_check(w, e, name, what);
    return r < 0 ? r : file_add(w, e, (struct domain_file){.name = name});
}

static int library_visit(struct walk *w, const struct entry *e) {
    return named_visit(w, e, "a library", "is a directory: libraries lie in lib/ itself");
}

static int view_visit(struct walk *w, const struct entry *e) {
    if (!e->is_directory && !strcmp(e->name, "state.lua"))
        return entry_fault(w, e, "no view can have this name: views/state.json of an aggregate is its state");
    return named_visit(w, e, "a view", "is a directory: views lie in views/ itself");
}

static int query_visit(struct walk *w, const struct entry *e) {
    return named_visit(w, e, "a query", "is a directory: queries lie in queries/ itself");
}

/* The number behind the last dot, which is cut off: from 1, no zeros in front. */
static uint32_t version_take(struct str *stem) {
    const char *dot = stem->n ? memrchr(stem->p, '.', stem->n) : NULL;
    uint32_t version = 0;
    if (!dot || dot[1] < '1' || dot[1] > '9')
        return 0;
    for (const char *p = dot + 1; p < stem->p + stem->n; p++) {
        if (*p < '0' || *p > '9' || version > DOMAIN_VERSION_MAX / 10)
            return 0;
        version = version * 10 + (uint32_t)(*p - '0');
    }
    stem->n = (size_t)(dot - stem->p);
    return version <= DOMAIN_VERSION_MAX ? version : 0;
}

static int schema_visit(struct walk *w, const struct entry *e) {
    struct str name;
    if (e->is_directory)
        return entry_fault(w, e,
                           "is a directory: schemas lie in schemas/<type>/ and schemas/<type>/commands/ themselves");
    if (!domain_name_has_end(e->name, ".json", &name))
        return entry_pass(w, e, ".json");
    uint32_t version = version_take(&name);
    if (!version)
        return entry_fault(w, e, "the name of a schema is <Event>.<n>.json, with n = 1, 2, ...");
    int r = name_check(w, e, name, e->kind == DOMAIN_COMMAND_SCHEMA ? "a command" : "an event");
    return r < 0 ? r : file_add(w, e, (struct domain_file){.type = e->type, .name = name, .version = version});
}

static int type_entry_visit(struct walk *w, const struct entry *e) {
    if (!e->is_directory || strcmp(e->name, "commands"))
        return schema_visit(w, e);
    struct entry commands = *e;
    commands.kind = DOMAIN_COMMAND_SCHEMA;
    return directory_visit(w, &commands, schema_visit);
}

static bool type_is_defined(const struct domain_files *files, struct str type) {
    for (size_t i = 0; i < files->n; i++)
        if (files->items[i].kind == DOMAIN_AGGREGATE && str_eq(files->items[i].type, type))
            return true;
    return false;
}

static int schemas_visit(struct walk *w, const struct entry *e) {
    struct str stem;
    char shown[DOMAIN_SHOWN];
    if (!e->is_directory && domain_name_has_end(e->name, ".json", &stem))
        return entry_fault(w, e, "schemas belong to a type: schemas/<type>/<Event>.<n>.json");
    if (!e->is_directory)
        return entry_pass(w, e, ".json");
    if (!type_is_defined(w->files, str_of(e->name)))
        return err_set(w->err, EINVAL, "%s/: schemas of a type that has no definition: there is no aggregates/%s.lua",
                       domain_shown(str_of(e->path), shown), shown + strlen("schemas/"));
    struct entry type = *e;
    type.type = str_of(e->name);
    return directory_visit(w, &type, type_entry_visit);
}

/* One of the directories that the domain consists of. */
static int room_read(struct walk *w, int root, const char *name, enum domain_file_kind kind, entry_visit *visit) {
    struct stat st;
    struct entry e = {.directory = root, .name = name, .kind = kind};
    snprintf(e.path, sizeof e.path, "%s", name);
    if (fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    w->files->aggregates |= kind == DOMAIN_AGGREGATE;
    return directory_visit(w, &e, visit);
}

/* The one definition that lies in the domain's directory itself. */
static int kafka_read(struct walk *w, int root) {
    struct stat st;
    struct entry e = {.directory = root, .name = "kafka.lua", .path = "kafka.lua", .kind = DOMAIN_KAFKA};
    if (fstatat(root, e.name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    int r = entry_look(w, root, &e);
    if (r == 0 && e.is_directory)
        r = entry_fault(w, &e, "is a directory, and must be a file");
    return r < 0 ? r : file_add(w, &e, (struct domain_file){0});
}

static int rooms_read(struct walk *w, int root) {
    int r = room_read(w, root, "aggregates", DOMAIN_AGGREGATE, definition_visit);
    if (r == 0)
        r = room_read(w, root, "lib", DOMAIN_LIBRARY, library_visit);
    if (r == 0)
        r = room_read(w, root, "views", DOMAIN_VIEW, view_visit);
    if (r == 0)
        r = room_read(w, root, "queries", DOMAIN_QUERY, query_visit);
    if (r == 0)
        r = kafka_read(w, root);
    return r < 0 ? r : room_read(w, root, "schemas", DOMAIN_EVENT_SCHEMA, schemas_visit);
}

static int file_order(const void *a, const void *b) {
    return domain_str_compare(((const struct domain_file *)a)->path, ((const struct domain_file *)b)->path);
}

int domain_files_read(struct domain_files *out, const char *directory, struct arena *arena, struct err *err) {
    struct walk w = {.files = out, .arena = arena, .err = err};
    int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_set(err, errno, "%s: %s", directory, strerror(errno));
    int r = rooms_read(&w, root);
    close(root);
    buf_free(&w.bytes);
    if (r == 0 && out->n)
        qsort(out->items, out->n, sizeof *out->items, file_order);
    return r == 0 && out->unread.oom ? err_set(err, ENOMEM, "out of memory") : r;
}

struct domain_file *domain_file_find(const struct domain_files *files, enum domain_file_kind kind, struct str type,
                                     struct str name, uint32_t version) {
    for (size_t i = 0; i < files->n; i++) {
        struct domain_file *f = &files->items[i];
        if (f->kind == kind && f->version == version && str_eq(f->type, type) && str_eq(f->name, name))
            return f;
    }
    return NULL;
}
