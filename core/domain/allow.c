#include "allow.h"

#include "domain_private.h"
#include "name.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#define NAMES_MAX 10000           /* in one list */
#define ENTRY_BYTES_MAX (4 << 20) /* of a group with very many members */

struct list {
    struct script *script;
    struct arena *arena;
    struct err *err;
    const char *member;
    int (*look_up)(const char *name, uint32_t *id, char *scratch, size_t n);
    uint32_t *ids;
    struct str *names;
    size_t n;
};

static int id_compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* --- names of the system's */

/* What getpwnam_r() and getgrnam_r() give when there is no such name differs: getpwnam(3), "ERRORS". */
static int look_up_failed(int code) {
    bool none = code == 0 || code == ENOENT || code == ESRCH || code == EBADF || code == EPERM;
    return none ? -ENOENT : -code;
}

static int user_look_up(const char *name, uint32_t *id, char *scratch, size_t n) {
    struct passwd entry, *found = NULL;
    int code = getpwnam_r(name, &entry, scratch, n, &found);
    if (!found)
        return look_up_failed(code);
    *id = entry.pw_uid;
    return 0;
}

static int group_look_up(const char *name, uint32_t *id, char *scratch, size_t n) {
    struct group entry, *found = NULL;
    int code = getgrnam_r(name, &entry, scratch, n, &found);
    if (!found)
        return look_up_failed(code);
    *id = entry.gr_gid;
    return 0;
}

static int name_look_up(const struct list *l, const char *name, uint32_t *id) {
    int r = -ERANGE;
    for (size_t n = 1024; r == -ERANGE && n <= ENTRY_BYTES_MAX; n *= 4) {
        char *scratch = malloc(n);
        if (!scratch)
            return -ENOMEM;
        r = l->look_up(name, id, scratch, n);
        free(scratch);
    }
    return r;
}

/* --- reading */

static int list_fault(const struct list *l, struct str item, const char *words) {
    char shown[DOMAIN_SHOWN];
    return err_set(l->err, EINVAL, "%s: %s %s", l->member, domain_shown(item, shown), words);
}

/* The number of a user or group; (uint32_t)-1 is nobody's, chown(2). */
static bool number_read(struct str text, uint32_t *id) {
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || v > UINT32_MAX)
            return false;
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    *id = (uint32_t)v;
    return text.n > 0 && v < UINT32_MAX;
}

static int id_of_name(struct list *l, struct str name, uint32_t *id) {
    char terminated[256];
    if (number_read(name, id))
        return 0;
    if (name.n == 0 || name.n >= sizeof terminated || !name_is_plain_text(name))
        return list_fault(l, name, "is no name of a user or group");
    memcpy(terminated, name.p, name.n);
    terminated[name.n] = 0;
    int r = name_look_up(l, terminated, id);
    if (r == -ENOENT)
        return err_set(l->err, EINVAL, "%s: this machine has no %s %s", l->member,
                       l->look_up == user_look_up ? "user" : "group", terminated);
    return r < 0 ? err_set(l->err, -r, "%s: %s cannot be looked up: %s", l->member, terminated, strerror(-r)) : 0;
}

static int id_add(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct list *l = arg;
    if (!key_is_integer)
        return list_fault(l, key, "is a key: this is a list, { \"a\", \"b\" }");
    enum script_kind kind = script_kind(l->script, value);
    if (kind == SCRIPT_INTEGER) {
        int64_t v = script_integer(l->script, value);
        if (v < 0 || v >= UINT32_MAX)
            return list_fault(l, key, "is the place of a number that no user or group can have");
        l->ids[l->n++] = (uint32_t)v;
        return 0;
    }
    if (kind != SCRIPT_STRING)
        return list_fault(l, key, "is the place of something that is neither a name nor a number");
    int r = id_of_name(l, script_string(l->script, value), &l->ids[l->n]);
    l->n += r == 0;
    return r;
}

static int saga_add(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct list *l = arg;
    if (!key_is_integer || script_kind(l->script, value) != SCRIPT_STRING)
        return list_fault(l, key, "is the place of something that is no name: this is a list, { \"a\", \"b\" }");
    struct str name = script_string(l->script, value);
    const char *why = name_fault(name);
    if (why)
        return list_fault(l, name, why);
    struct str copy = arena_copy(l->arena, name);
    if (!copy.p)
        return -ENOMEM;
    l->names[l->n++] = copy;
    return 0;
}

static int item_count(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)key, (void)key_is_integer, (void)value;
    return ++*(size_t *)arg > NAMES_MAX ? -E2BIG : 0;
}

/* Makes room for the items of the list and visits them. */
static int list_read(struct list *l, script_value v, script_visit *visit) {
    size_t n = 0;
    if (!domain_is_table(l->script, v))
        return err_set(l->err, EINVAL, "%s: must be a list of names", l->member);
    if (script_each(l->script, v, item_count, &n) < 0)
        return err_set(l->err, EINVAL, "%s: has more than %d names", l->member, NAMES_MAX);
    l->ids = arena_alloc(l->arena, n * sizeof *l->ids + 1);
    l->names = arena_alloc(l->arena, n * sizeof *l->names + 1);
    if (!l->ids || !l->names)
        return -ENOMEM;
    return script_each(l->script, v, visit, l);
}

static int ids_read(struct list *l, script_value v, const uint32_t **ids, size_t *n) {
    int r = list_read(l, v, id_add);
    if (r < 0)
        return r;
    qsort(l->ids, l->n, sizeof *l->ids, id_compare);
    *ids = l->ids;
    *n = l->n;
    return 0;
}

static int member_read(struct list *l, script_value v, struct allow *out) {
    if (!strcmp(l->member, "users")) {
        l->look_up = user_look_up;
        return ids_read(l, v, &out->uids, &out->n_uids);
    }
    if (!strcmp(l->member, "groups")) {
        l->look_up = group_look_up;
        return ids_read(l, v, &out->gids, &out->n_gids);
    }
    if (!strcmp(l->member, "anyone")) {
        if (script_kind(l->script, v) != SCRIPT_BOOLEAN)
            return err_set(l->err, EINVAL, "anyone: must be true or false");
        out->anyone = script_boolean(l->script, v);
        return 0;
    }
    int r = list_read(l, v, saga_add);
    out->sagas = l->names;
    out->n_sagas = l->n;
    return r;
}

int allow_read(struct script *s, script_value v, struct arena *arena, struct allow *out, struct err *err) {
    static const char *const names[] = {"users", "groups", "sagas", "anyone"};
    *out = (struct allow){0};
    if (!v)
        return 0;
    if (!domain_is_table(s, v))
        return err_set(err, EINVAL, "must be a table like { users = { \"ann\" }, groups = { \"sales\" } }");
    int r = domain_members_check(s, v, names, sizeof names / sizeof *names, err);
    for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++) {
        struct list l = {.script = s, .arena = arena, .err = err, .member = names[i]};
        script_value member = script_member(s, v, names[i]);
        if (member)
            r = member_read(&l, member, out);
        script_drop(s, member);
    }
    out->given = true;
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
}

/* --- asking */

static bool id_is_listed(const uint32_t *ids, size_t n, uint32_t id) {
    return n && bsearch(&id, ids, n, sizeof *ids, id_compare);
}

static bool owner_admits(const struct ownership *owner, const struct identity *who) {
    if (who->uid == 0 || who->uid == owner->uid || who->gid == owner->gid)
        return true;
    for (size_t i = 0; i < who->n_gids; i++)
        if (who->gids[i] == owner->gid)
            return true;
    return false;
}

bool allow_admits(const struct allow *a, const struct identity *who, const struct ownership *owner) {
    if (!a->given)
        return owner_admits(owner, who);
    if (a->anyone || (who->uid == 0 && owner->root_allowed) || id_is_listed(a->uids, a->n_uids, who->uid) ||
        id_is_listed(a->gids, a->n_gids, who->gid))
        return true;
    for (size_t i = 0; i < who->n_gids; i++)
        if (id_is_listed(a->gids, a->n_gids, who->gids[i]))
            return true;
    return false;
}
