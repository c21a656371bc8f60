/* What the views of a rehearsal show. */
#include "rehearsal_private.h"

#include "domain_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- what there is instead */

/* Names, as far as there is room. */
struct choice {
    char text[200];
    size_t n;
    bool full;
};

static void choice_add(struct choice *c, struct str name) {
    size_t room = sizeof c->text - c->n;
    int n = c->full ? 0 : snprintf(c->text + c->n, room, "%s%.*s", c->n ? ", " : "; it has ", (int)name.n, name.p);
    c->full |= (size_t)n >= room;
    if (c->full)
        c->text[c->n] = 0;
    else
        c->n += (size_t)n;
}

static const char *choice_end(const struct choice *c) {
    return !c->full ? "" : c->n ? ", ..." : "; it has others";
}

static int missing(const struct rehearsed_view *v, const char *what, struct str key, const struct choice *there,
                   struct err *err) {
    char shown[DOMAIN_SHOWN];
    return err_set(err, ENOENT, "view %s has no %s \"%s\"%s%s", v->viewer.view->name.p, what, domain_shown(key, shown),
                   there->n || there->full ? there->text : "; it is empty", choice_end(there));
}

int name_missing(const char *what, struct str name, const void *all, size_t size, size_t n, struct err *err) {
    const char *near = domain_near(name, all, size, n);
    struct choice there = {.n = 0};
    char shown[DOMAIN_SHOWN];
    domain_shown(name, shown);
    if (near)
        return err_set(err, EINVAL, "the domain has no %s \"%s\", did you mean %s?", what, shown, near);
    for (size_t i = 0; i < n; i++)
        choice_add(&there, *(const struct str *)((const char *)all + i * size));
    return err_set(err, EINVAL, "the domain has no %s \"%s\"%s%s", what, shown, there.text, choice_end(&there));
}

/* --- projections */

static int key_look(const struct rehearsed_view *v, struct str key, struct buf *out, struct err *err) {
    struct choice there = {.n = 0};
    for (size_t i = 0; i < v->n_keys; i++) {
        const struct shown_key *k = &v->keys[i];
        if (k->state && str_eq(k->key, key)) {
            buf_put(out, k->text.p, k->text.n - 1); /* without the newline */
            return 0;
        }
        if (k->state)
            choice_add(&there, k->name);
    }
    return missing(v, "key", key, &there, err);
}

/* --- indexes */

/* What a directory shows: links, and directories with a slash behind. */
struct listing {
    struct str *names; /* room for all links */
    size_t n;
};

/* A path's part behind a directory that it is in: empty for the directory itself, p NULL when it is elsewhere. */
static struct str path_behind(struct str path, struct str dir) {
    const struct str elsewhere = {NULL, 0};
    if (dir.n == 0 || !path.p)
        return path;
    if (path.n < dir.n || memcmp(path.p, dir.p, dir.n) != 0)
        return elsewhere;
    if (path.n == dir.n)
        return (struct str){path.p + dir.n, 0};
    return path.p[dir.n] == '/' ? (struct str){path.p + dir.n + 1, path.n - dir.n - 1} : elsewhere;
}

static bool is_listed(const struct listing *l, struct str name) {
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->names[i], name))
            return true;
    return false;
}

/* The directories in a directory. */
static int dirs_list(struct rehearsal *r, const struct rehearsed_view *v, struct str dir, struct listing *l) {
    for (size_t i = 0; i < v->n_links; i++) {
        struct str rest = path_behind(v->links[i].dir, dir);
        const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
        char *name = n ? arena_alloc(&r->arena, n + 1) : NULL;
        if (n && !name)
            return -ENOMEM;
        if (!n)
            continue;
        memcpy(name, rest.p, n);
        name[n] = '/';
        if (!is_listed(l, (struct str){name, n + 1}))
            l->names[l->n++] = (struct str){name, n + 1};
    }
    return 0;
}

/* The links in it. One that has the name of a directory beside it has a `%` behind its own. */
static int links_list(struct rehearsal *r, const struct rehearsed_view *v, struct str dir, struct listing *l) {
    for (size_t i = 0; i < v->n_links; i++) {
        const struct shown_link *link = &v->links[i];
        if (!link->dir.p || !str_eq(link->dir, dir))
            continue;
        char *name = arena_alloc(&r->arena, link->name.n + 1);
        if (!name)
            return -ENOMEM;
        memcpy(name, link->name.p, link->name.n);
        name[link->name.n] = '/';
        bool beside = is_listed(l, (struct str){name, link->name.n + 1});
        name[link->name.n] = '%';
        l->names[l->n++] = (struct str){name, link->name.n + beside};
    }
    return 0;
}

static int name_order(const void *a, const void *b) {
    return domain_str_compare(*(const struct str *)a, *(const struct str *)b);
}

static int dir_missing(const struct rehearsed_view *v, struct str dir, struct err *err) {
    struct choice there = {.n = 0};
    for (size_t i = 0; i < v->n_links; i++) {
        bool seen = v->links[i].dir.n == 0;
        for (size_t k = 0; k < i && !seen; k++)
            seen = str_eq(v->links[k].dir, v->links[i].dir);
        if (!seen)
            choice_add(&there, v->links[i].dir);
    }
    return missing(v, "directory", dir, &there, err);
}

static int dir_look(struct rehearsal *r, const struct rehearsed_view *v, struct str dir, struct buf *out,
                    struct err *err) {
    struct listing l = {.names = arena_alloc(&r->arena, (v->n_links + 1) * sizeof *l.names)};
    int rc = l.names ? dirs_list(r, v, dir, &l) : -ENOMEM;
    if (rc == 0)
        rc = links_list(r, v, dir, &l);
    if (rc < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (l.n == 0 && dir.n)
        return dir_missing(v, dir, err);
    qsort(l.names, l.n, sizeof *l.names, name_order);
    buf_put_char(out, '[');
    for (size_t i = 0; i < l.n; i++) {
        buf_put_text(out, i ? "," : "");
        buf_put_json_string(out, l.names[i]);
    }
    buf_put_char(out, ']');
    return 0;
}

int rehearsal_view(struct rehearsal *r, struct str view, struct str key, struct buf *out, struct err *err) {
    const struct domain_view *definition = domain_view(r->domain, view);
    struct script_fault fault;
    if (!definition)
        return name_missing("view", view, r->domain->views, sizeof *definition, r->domain->n_views, err);
    int rc = rehearsal_follow(r, &fault, err);
    if (rc < 0)
        return rc;
    const struct rehearsed_view *v = &r->views[definition - r->domain->views];
    return v->viewer.view->index ? dir_look(r, v, key, out, err) : key_look(v, key, out, err);
}
