/* Makes a RocksDB database that is no esfs store, in the directory named: what another program might have there. */
#include <rocksdb/c.h>
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *db = rocksdb_open(options, argv[1], &error);
    if (!error) {
        rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
        rocksdb_put(db, write, "key", 3, "value", 5, &error);
        rocksdb_writeoptions_destroy(write);
        rocksdb_close(db);
    }
    if (error)
        fprintf(stderr, "%s\n", error);
    rocksdb_options_destroy(options);
    return error != NULL;
}
