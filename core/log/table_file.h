/* One table file of RocksDB's as a whole, apart from the database that it belongs to.
 *
 * C++ inside: the C API can neither check a file nor read the parts of its filters, which iterators pass by. Look-ups
 * by key do without a part that is damaged, but a table that is opened later than the first ones cannot be opened
 * with one.
 *
 * Thread safe. */
#ifndef ESFS_TABLE_FILE_H
#define ESFS_TABLE_FILE_H

#include "err.h"

/* Reads every block of the file (data, index and filter with their parts, removed ranges, properties, the metaindex)
 * and holds it against its checksum; values are not looked at. Reads the file once, from end to end. 0; -EUCLEAN when
 * it is damaged, -EIO, -ENOMEM. */
int table_file_check(const char *path, struct err *err);

#endif
