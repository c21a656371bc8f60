extern "C" {
#include "table_file.h"
}

#include <cerrno>
#include <new>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>

#define READ_AHEAD_BYTES ((size_t)1 << 20)

/* Opening reads the parts of index and filter; those of a filter only where there is a policy (any: its parts tell how
 * they were made) and a cache (its own, as files made apart from a database can have the same identity). */
static rocksdb::Options reader_options() {
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.metadata_cache_options.partition_pinning = rocksdb::PinningTier::kAll;
    rocksdb::Options options;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return options;
}

static rocksdb::Status file_read(const char *path) {
    rocksdb::ReadOptions options;
    options.readahead_size = READ_AHEAD_BYTES;
    rocksdb::SstFileReader reader(reader_options());
    rocksdb::Status status = reader.Open(path);
    return status.ok() ? reader.VerifyChecksum(options) : status;
}

extern "C" int table_file_check(const char *path, struct err *err) {
    try {
        rocksdb::Status status = file_read(path);
        if (status.ok())
            return 0;
        return err_set(err, status.IsCorruption() ? EUCLEAN : EIO, "%s: %s", path, status.ToString().c_str());
    } catch (const std::bad_alloc &) {
        return err_set(err, ENOMEM, "%s: out of memory", path);
    }
}
