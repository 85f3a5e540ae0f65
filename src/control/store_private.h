/* Shared by the files of the store, and nobody else. */
#ifndef OUTBOARD_CONTROL_STORE_PRIVATE_H
#define OUTBOARD_CONTROL_STORE_PRIVATE_H

#include <sqlite3.h>

#include "control/store.h"

/* SQLite's result code as ours. */
int store_errno(int code);

/* The prepared statement of `sql` (a literal), reset and without values; NULL when it cannot be prepared (out of memory). */
sqlite3_stmt *store_statement(struct store *store, const char *sql);
/* Runs a statement that gives no rows. *changed (may be NULL): how many rows it touched. */
int store_run(struct store *store, sqlite3_stmt *statement, int *changed);
/* Like store_run(), and -ENOENT when it touched none. */
int store_run_one(struct store *store, sqlite3_stmt *statement);
/* Runs a statement whose one value is an id. */
int store_run_on(struct store *store, const char *sql, const struct uuid *id);
/* 1: a row is there; 0: no more (the statement is reset); -errno (likewise). */
int store_step(sqlite3_stmt *statement);
int store_count(struct store *store, const char *sql, int64_t *count);

void bind_uuid(sqlite3_stmt *statement, int index, const struct uuid *id);
void bind_blob(sqlite3_stmt *statement, int index, const struct vault_blob *blob);
void bind_text_or_null(sqlite3_stmt *statement, int index, const char *text); /* "" or NULL: null */
void bind_or_null(sqlite3_stmt *statement, int index, int64_t value, int64_t null_value);
void column_uuid(sqlite3_stmt *statement, int column, struct uuid *out);
void column_blob(sqlite3_stmt *statement, int column, struct vault_blob *out);
void column_text(sqlite3_stmt *statement, int column, char *out, size_t size);

/* store_schema.c */
extern const char *const store_migrations[]; /* [0] makes version 1 of nothing, [i] version i + 1 of i; ends with NULL */
extern const char store_temporary[];	     /* tables of the temporary database */
int store_schema_version(void);		     /* what the last migration gives */

#endif
