/*
 * The schema, as the steps that led to it. A step that was released is never changed: there are stores out there that took it.
 * test/unit/control/store_v1.sql is a store as version 1 wrote it.
 */
#include "control/store_private.h"

const char *const store_migrations[] = {
	/* 1: volumes, keys, attachments */
	"CREATE TABLE keks ("
	"  id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),"
	"  name TEXT NOT NULL UNIQUE,"
	"  version INTEGER NOT NULL CHECK (version >= 1),"
	"  wrapped BLOB NOT NULL,"
	"  created_s INTEGER NOT NULL) STRICT;"
	"CREATE TABLE volumes ("
	"  id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),"
	"  name TEXT NOT NULL UNIQUE,"
	"  size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),"
	"  block_size_bytes INTEGER NOT NULL CHECK (block_size_bytes IN (512, 4096)),"
	"  backend INTEGER NOT NULL,"
	"  path TEXT UNIQUE,"
	"  read_only INTEGER NOT NULL,"
	"  iops INTEGER,"
	"  throughput_mib INTEGER,"
	"  burst INTEGER NOT NULL,"
	"  tags TEXT NOT NULL,"
	"  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),"
	"  errors INTEGER NOT NULL DEFAULT 0,"
	"  error_message TEXT,"
	"  created_s INTEGER NOT NULL,"
	"  kek_id BLOB REFERENCES keks (id),"
	"  dek_version INTEGER,"
	"  wrapped_dek BLOB,"
	"  CHECK ((kek_id IS NULL) = (wrapped_dek IS NULL))) STRICT;"
	"CREATE INDEX volumes_by_kek ON volumes (kek_id);"
	"CREATE TABLE attachments ("
	"  volume_id BLOB PRIMARY KEY NOT NULL REFERENCES volumes (id),"
	"  phase INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 3),"
	"  kind INTEGER NOT NULL,"
	"  socket TEXT NOT NULL UNIQUE,"
	"  queues INTEGER NOT NULL,"
	"  packed INTEGER NOT NULL,"
	"  read_only INTEGER NOT NULL,"
	"  uid INTEGER,"
	"  gid INTEGER,"
	"  mode INTEGER NOT NULL,"
	"  created_s INTEGER NOT NULL) STRICT;",

	/* 2: growing a volume survives a crash between the card and us; restarts of the card are counted */
	"ALTER TABLE volumes ADD COLUMN size_target_bytes INTEGER;"
	"CREATE TABLE cards ("
	"  name TEXT PRIMARY KEY NOT NULL,"
	"  incarnation TEXT NOT NULL,"
	"  restarts INTEGER NOT NULL) STRICT;",

	/* 3: objects of VPCs as documents, who refers to whom, what only one may have, and attachments of ENIs */
	"CREATE TABLE net_objects ("
	"  id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),"
	"  kind TEXT NOT NULL,"
	"  name TEXT NOT NULL,"
	"  vpc BLOB,"
	"  body TEXT NOT NULL,"
	"  items TEXT,"
	"  item_count INTEGER NOT NULL,"
	"  created_s INTEGER NOT NULL,"
	"  UNIQUE (kind, name)) STRICT;"
	"CREATE TABLE net_references ("
	"  from_id BLOB NOT NULL REFERENCES net_objects (id) DEFERRABLE INITIALLY DEFERRED,"
	"  to_id BLOB NOT NULL REFERENCES net_objects (id) DEFERRABLE INITIALLY DEFERRED,"
	"  PRIMARY KEY (from_id, to_id)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX net_references_by_target ON net_references (to_id);"
	"CREATE TABLE net_claims ("
	"  scope INTEGER NOT NULL,"
	"  vpc BLOB NOT NULL,"
	"  value BLOB NOT NULL,"
	"  owner BLOB NOT NULL REFERENCES net_objects (id) DEFERRABLE INITIALLY DEFERRED,"
	"  PRIMARY KEY (scope, vpc, value)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX net_claims_by_owner ON net_claims (owner);"
	"CREATE TABLE net_attachments ("
	"  eni_id BLOB PRIMARY KEY NOT NULL REFERENCES net_objects (id),"
	"  phase INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 3),"
	"  kind INTEGER NOT NULL,"
	"  socket TEXT UNIQUE,"
	"  tap TEXT,"
	"  netns TEXT NOT NULL,"
	"  queues INTEGER NOT NULL,"
	"  packed INTEGER NOT NULL,"
	"  uid INTEGER,"
	"  gid INTEGER,"
	"  mode INTEGER NOT NULL,"
	"  created_s INTEGER NOT NULL,"
	"  UNIQUE (netns, tap),"
	"  CHECK ((socket IS NULL) <> (tap IS NULL))) STRICT;",
	NULL,
};

const char store_temporary[] = "CREATE TEMP TABLE live ("
			       "  volume_id BLOB PRIMARY KEY NOT NULL,"
			       "  state TEXT NOT NULL,"
			       "  reason TEXT) STRICT;"
			       "CREATE TEMP TABLE net_live ("
			       "  eni_id BLOB PRIMARY KEY NOT NULL,"
			       "  state TEXT NOT NULL,"
			       "  reason TEXT) STRICT;"
			       "CREATE TEMP TABLE new_errors ("
			       "  volume_id BLOB PRIMARY KEY NOT NULL,"
			       "  errors INTEGER NOT NULL,"
			       "  message TEXT NOT NULL) STRICT;";

int store_schema_version(void)
{
	int version = 0;

	while (store_migrations[version] != NULL)
		version++;
	return version;
}
