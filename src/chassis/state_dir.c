#include "chassis/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { ROOT_KEY_BYTES = 32 };

static const char lock_name[] = "lock";

int state_dir_open(const char *path)
{
	struct stat st;
	int fd, rc;

	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		rc = -errno;
		log_error("cannot make the state directory %s: %s", path, strerror(-rc));
		return rc;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		log_error("cannot open the state directory %s: %s", path, strerror(-rc));
		return rc;
	}
	if (fstat(fd, &st) == 0 && (st.st_mode & 022) != 0) {
		log_error("others than its owner may write to the state directory %s; make it 0700", path);
		close(fd);
		return -EPERM;
	}
	return fd;
}

/* A lock on a file that its last holder unlinked meanwhile is worth nothing. */
static int same_inode(int dir, int lock)
{
	struct stat held, named;

	return fstat(lock, &held) == 0 && fstatat(dir, lock_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

int state_dir_lock(int dir, const char *path, pid_t *holder)
{
	for (;;) {
		struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = openat(dir, lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc;

		if (fd < 0) {
			rc = -errno;
			log_error("cannot write to the state directory %s: %s", path, strerror(-rc));
			return rc;
		}
		if (fcntl(fd, F_SETLK, &request) == 0) {
			if (same_inode(dir, fd))
				return fd;
			close(fd);
			continue;
		}
		rc = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		if (rc == -EBUSY && (fcntl(fd, F_GETLK, &request) != 0 || request.l_type == F_UNLCK)) {
			close(fd); /* the holder went between the two calls */
			continue;
		}
		*holder = rc == -EBUSY && request.l_pid > 0 ? request.l_pid : 0;
		if (rc != -EBUSY)
			log_error("cannot lock the state directory %s: %s", path, strerror(-rc));
		close(fd);
		return rc;
	}
}

void state_dir_unlock(int dir, int lock)
{
	unlinkat(dir, lock_name, 0); /* first the name, then the lock: who opened it meanwhile finds out in same_inode() */
	close(lock);
}

/* Written beside its name and moved there, so that a crash never leaves half a key. */
static int root_key_make(const char *path)
{
	unsigned char key[ROOT_KEY_BYTES];
	char temporary[4096];
	int fd, rc = 0;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return -EIO;
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0) {
		rc = -errno;
		goto wipe;
	}
	if (write(fd, key, sizeof(key)) != (ssize_t)sizeof(key) || fsync(fd) != 0)
		rc = errno != 0 ? -errno : -EIO;
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) != 0)
		rc = -errno;
	if (rc != 0)
		unlink(temporary);
wipe:
	explicit_bzero(key, sizeof(key));
	return rc;
}

int root_key_open(const char *path, bool make)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0 && errno == ENOENT && make) {
		rc = root_key_make(path);
		if (rc != 0) {
			log_error("cannot write the root key %s: %s", path, strerror(-rc));
			return rc;
		}
		log_warning("made a root key, %s: whoever has this file can unwrap every key of this card, and without it every "
			    "encrypted "
			    "volume is lost; on a production host keep it elsewhere (\"root\" in the configuration file)",
			    path);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0) {
		rc = -errno;
		log_error("cannot read the root key %s: %s", path, strerror(-rc));
		return rc;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
		log_error("the root key %s must be a file that only its owner can read: chmod 0400 %s", path, path);
		close(fd);
		return -EPERM;
	}
	return fd;
}

int root_header_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	if (fd >= 0)
		return fd;
	rc = -errno;
	log_error("cannot open %s, which belongs to the passphrase: %s", path, strerror(-rc));
	return rc;
}
