#include "cli/api.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/progress.h"

enum { REPLY_MAX_BYTES = 256 << 20, URL_SIZE = 512, BUSY_PAUSE_US = 20000 };

struct reply_buffer {
	char *data;
	size_t size;
};

static size_t on_data(char *data, size_t one, size_t size, void *context)
{
	struct reply_buffer *buffer = context;
	char *grown;

	(void)one; /* always 1 */
	if (buffer->size + size > REPLY_MAX_BYTES)
		return 0;
	grown = realloc(buffer->data, buffer->size + size + 1);
	if (grown == NULL)
		return 0;
	memcpy(grown + buffer->size, data, size);
	buffer->data = grown;
	buffer->size += size;
	return size;
}

__attribute__((format(printf, 3, 4))) static int refuse(struct api_error *error, const char *code, const char *format, ...)
{
	va_list args;

	snprintf(error->code, sizeof(error->code), "%s", code);
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return -1;
}

static int unreachable(struct api_error *error, const char *socket, int why)
{
	struct stat st;

	if (why == EACCES)
		return refuse(error, "unreachable",
			      "you may not open the card's API, %s: use sudo, or ask for membership of its group", socket);
	if (why == ECONNREFUSED || (stat(socket, &st) == 0 && S_ISSOCK(st.st_mode)))
		return refuse(
			error, "unreachable",
			"no card listens on %s (any more): start one with \"outboard run --state-dir DIR\" or \"systemctl start "
			"outboard\"",
			socket);
	return refuse(error, "unreachable",
		      "there is no card at %s (%s): start one with \"outboard run --state-dir DIR\" or \"systemctl start "
		      "outboard\", or name "
		      "the socket of one that runs with --api or OUTBOARD_API",
		      socket, strerror(why != 0 ? why : ENOENT));
}

/* The API's own error, or what can be said without one. */
static int failed(struct api_error *error, long status, const json_t *reply)
{
	const char *code, *message;

	if (json_unpack((json_t *)(size_t)reply, "{s:{s:s,s:s}}", "error", "code", &code, "message", &message) != 0)
		return refuse(error, "protocol", "the API answered with HTTP status %ld and no explanation", status);
	return refuse(error, code, "%s", message);
}

static int understand(CURL *curl, const struct reply_buffer *buffer, json_t **reply, struct api_error *error)
{
	json_error_t json_error;
	json_t *body = NULL;
	long status = 0;
	int rc = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (buffer->size > 0) {
		body = json_loadb(buffer->data, buffer->size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &json_error);
		if (body == NULL && status < 400)
			return refuse(error, "protocol", "the API's answer is no JSON: %s", json_error.text);
	}
	if (status < 200 || status >= 300)
		rc = failed(error, status, body);
	if (rc == 0 && reply != NULL)
		*reply = body;
	else
		json_decref(body);
	return rc;
}

/* Why nobody can connect (curl does not say): an errno, 0 when somebody can. */
static int knock(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, why = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		why = errno;
	if (fd >= 0)
		close(fd);
	return why;
}

/* A unix socket whose queue is full refuses at once, unlike one of the Internet: that it is busy for a moment is no failure. */
static CURLcode ask(CURL *curl, const char *socket, unsigned patience_s, int *why)
{
	uint64_t deadline_ns = clock_monotonic_ns() + patience_s * UINT64_C(1000000000);
	CURLcode code;

	while ((code = curl_easy_perform(curl)) == CURLE_COULDNT_CONNECT) {
		*why = knock(socket);
		if (*why != 0 && *why != EAGAIN)
			break;
		if (clock_monotonic_ns() >= deadline_ns)
			return CURLE_OPERATION_TIMEDOUT;
		usleep(BUSY_PAUSE_US);
	}
	return code;
}

static int silent(struct api_error *error, const char *socket, unsigned patience_s)
{
	return refuse(error, "timeout",
		      "the card's API at %s did not answer within %u s, and what was asked may or may not be done: see the log of "
		      "\"outboard run\" (journalctl -u outboard); if outboard-control hangs, kill it and another one is started, "
		      "while guests go on",
		      socket, patience_s);
}

static int perform(CURL *curl, const char *socket, unsigned patience_s, json_t **reply, struct api_error *error)
{
	struct reply_buffer buffer = {0};
	char text[CURL_ERROR_SIZE] = "";
	CURLcode code;
	int why = 0, rc;

	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever http_proxy says */
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)patience_s);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &buffer);
	code = ask(curl, socket, patience_s, &why);
	if (code == CURLE_OK)
		rc = understand(curl, &buffer, reply, error);
	else if (code == CURLE_COULDNT_CONNECT)
		rc = unreachable(error, socket, why);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		rc = silent(error, socket, patience_s);
	else
		rc = refuse(error, "protocol", "the card's API at %s did not answer: %s", socket,
			    text[0] != '\0' ? text : curl_easy_strerror(code));
	free(buffer.data);
	return rc;
}

/* What was sent of what there is, as often as curl wants to tell. */
static int on_progress(void *context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent)
{
	(void)to_receive;
	(void)received;
	if (to_send > 0)
		progress_update(context, 100.0 * (double)sent / (double)to_send, clock_monotonic_ns());
	return 0;
}

struct outgoing {
	const char *method, *path;
	const char *text; /* NULL: no body */
	struct progress *progress;
};

static int send_request(const char *socket, unsigned patience_s, const struct outgoing *o, json_t **reply, struct api_error *error)
{
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	char url[URL_SIZE];
	int rc;

	if (reply != NULL)
		*reply = NULL;
	if (curl == NULL)
		return refuse(error, "out_of_memory", "out of memory");
	snprintf(url, sizeof(url), "http://localhost%s", o->path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, o->method);
	if (o->text != NULL) {
		headers = curl_slist_append(NULL, "Content-Type: application/json");
		headers = curl_slist_append(headers, "Expect:"); /* a long body need not wait to be invited */
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, o->text);
	}
	if (o->progress != NULL) {
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, o->progress);
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	}
	rc = perform(curl, socket, patience_s, reply, error);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return rc;
}

int api_request(const char *socket, unsigned patience_s, const char *method, const char *path, const json_t *body, json_t **reply,
		struct api_error *error)
{
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	int rc = body != NULL && text == NULL
			 ? refuse(error, "out_of_memory", "out of memory")
			 : send_request(socket, patience_s, &(struct outgoing){method, path, text, NULL}, reply, error);

	free(text);
	return rc;
}

/* Fields whose option is called otherwise: without a unit, or in the singular when it repeats. */
static const struct {
	const char *suffix, *says;
} spellings[] = {{"", ""}, {"_bytes", ", in bytes,"}, {"_mib", ", in MiB,"}, {"_s", ", in seconds,"}, {"es", ""}, {"s", ""}};

/* The option that a field of the API is given by; *says: what to add to its name. NULL: there is none. */
static const struct cli_option *option_of(const struct cli *cli, const char *field, const char **says)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		char name[64];
		size_t length = strlen(field), suffix = strlen(spellings[i].suffix);

		if (length <= suffix || length >= sizeof(name) || strcmp(field + length - suffix, spellings[i].suffix) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(length - suffix), field);
		for (char *c = name; *c != '\0'; c++)
			if (*c == '_')
				*c = '-';
		*says = spellings[i].says;
		for (const struct cli_option *o = cli->command->options; o != NULL && o->name != NULL; o++)
			if (strcmp(o->name, name) == 0)
				return o;
	}
	return NULL;
}

/*
 * The API speaks of fields of a body; who typed a command knows its options: `Field "size_bytes" must be ...` becomes
 * `--size, in bytes, must be ...`, and so does `ACL "x": Field "add[0].ports" must be ...`, whose object was typed as well. What is no
 * option of the command stays as it is.
 */
static void name_option(const struct cli *cli, struct api_error *error)
{
	char field[96], message[sizeof(error->message)], *name, *begin = strstr(error->message, "Field \"");
	const struct cli_option *option;
	const char *says;
	int end = 0;

	if (begin == NULL || sscanf(begin, "Field \"%95[]a-z0-9_[.]\"%n", field, &end) != 1 || end == 0)
		return;
	name = strrchr(field, '.') != NULL ? strrchr(field, '.') + 1 : field;
	name[strcspn(name, "[")] = '\0';
	option = option_of(cli, name, &says);
	if (option == NULL)
		return;
	snprintf(message, sizeof(message), "--%s%s%s", option->name, says, begin + end);
	strcpy(error->message, message);
}

int api_fail(const struct cli *cli, struct api_error *error)
{
	name_option(cli, error);
	return cli_fail(cli, error->code, "%s", error->message);
}

int api_call(const struct cli *cli, const char *method, json_t *body, json_t **reply, const char *path_format, ...)
{
	struct api_error error;
	char path[URL_SIZE];
	va_list args;
	int rc;

	va_start(args, path_format);
	vsnprintf(path, sizeof(path), path_format, args);
	va_end(args);
	rc = api_request(cli->api_socket, cli->api_patience_s, method, path, body, reply, &error);
	json_decref(body);
	return rc == 0 ? 0 : api_fail(cli, &error);
}

int api_upload(const struct cli *cli, const char *path, const char *text, struct progress *progress, json_t **reply,
	       struct api_error *error)
{
	return send_request(cli->api_socket, cli->api_patience_s, &(struct outgoing){"POST", path, text, progress}, reply, error);
}
