-- A store as schema 1 wrote it, with one of everything. Never change it: it stands for what is out there.
PRAGMA application_id = 1333097570;
PRAGMA user_version = 1;
CREATE TABLE keks (  id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),  name TEXT NOT NULL UNIQUE,  version INTEGER NOT NULL CHECK (version >= 1),  wrapped BLOB NOT NULL,  created_s INTEGER NOT NULL) STRICT;
CREATE TABLE volumes (  id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),  name TEXT NOT NULL UNIQUE,  size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),  block_size_bytes INTEGER NOT NULL CHECK (block_size_bytes IN (512, 4096)),  backend INTEGER NOT NULL,  path TEXT UNIQUE,  read_only INTEGER NOT NULL,  iops INTEGER,  throughput_mib INTEGER,  burst INTEGER NOT NULL,  tags TEXT NOT NULL,  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),  errors INTEGER NOT NULL DEFAULT 0,  error_message TEXT,  created_s INTEGER NOT NULL,  kek_id BLOB REFERENCES keks (id),  dek_version INTEGER,  wrapped_dek BLOB,  CHECK ((kek_id IS NULL) = (wrapped_dek IS NULL))) STRICT;
CREATE INDEX volumes_by_kek ON volumes (kek_id);
CREATE TABLE attachments (  volume_id BLOB PRIMARY KEY NOT NULL REFERENCES volumes (id),  phase INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 3),  kind INTEGER NOT NULL,  socket TEXT NOT NULL UNIQUE,  queues INTEGER NOT NULL,  packed INTEGER NOT NULL,  read_only INTEGER NOT NULL,  uid INTEGER,  gid INTEGER,  mode INTEGER NOT NULL,  created_s INTEGER NOT NULL) STRICT;
INSERT INTO keks VALUES (x'000102030405060708090a0b0c0d0e0f', 'default', 3, x'aabbcc', 1700000000);
INSERT INTO volumes VALUES (x'101112131415161718191a1b1c1d1e1f', 'db', 1073741824, 4096, 2, '/srv/db.img', 0, 3000, NULL, 0, '{"team":"db"}', 2, 4, 'write at byte 0 failed: Input/output error', 1700000001, x'000102030405060708090a0b0c0d0e0f', 1, x'ddeeff');
INSERT INTO volumes VALUES (x'202122232425262728292a2b2c2d2e2f', 'scratch', 1048576, 512, 0, NULL, 1, NULL, 125, 1, '{}', 2, 0, NULL, 1700000002, NULL, NULL, NULL);
INSERT INTO attachments VALUES (x'101112131415161718191a1b1c1d1e1f', 2, 0, '/run/db.sock', 4, 1, 0, NULL, 107, 432, 1700000003);
