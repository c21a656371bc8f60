#include "moves.h"

int moves_init(struct moves *m) {
    m->n = 0;
    return -pthread_mutex_init(&m->lock, NULL);
}

void moves_deinit(struct moves *m) {
    pthread_mutex_destroy(&m->lock);
}

void moves_add(struct moves *m, const struct node *dir, uint64_t position) {
    pthread_mutex_lock(&m->lock);
    m->list[m->n % MOVES_MAX].dir = *dir;
    m->list[m->n % MOVES_MAX].position = position;
    m->n++;
    pthread_mutex_unlock(&m->lock);
}

bool moves_have(struct moves *m, const struct node *dir, uint64_t position) {
    bool found = false;
    pthread_mutex_lock(&m->lock);
    unsigned long n = m->n < MOVES_MAX ? m->n : MOVES_MAX;
    for (unsigned long i = 0; i < n && !found; i++)
        found = m->list[i].dir.tag == dir->tag && m->list[i].dir.no == dir->no && m->list[i].position == position;
    pthread_mutex_unlock(&m->lock);
    return found;
}
