#include "control/http_clients.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

struct http_client {
	struct list node; /* clients->silent; alone when it has asked, or was hung up on */
	struct http_clients *clients;
	int socket; /* not ours: the HTTP library closes it */
	uint64_t since_ns;
};

static void set_silent(struct http_client *client)
{
	client->since_ns = clock_monotonic_ns();
	list_add_tail(&client->clients->silent, &client->node);
}

void http_clients_init(struct http_clients *clients)
{
	list_init(&clients->silent);
	clients->count = 0;
}

struct http_client *http_client_new(struct http_clients *clients, int socket)
{
	struct http_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->clients = clients;
	client->socket = socket;
	clients->count++;
	set_silent(client);
	return client;
}

static void take_out(struct http_client *client)
{
	list_del(&client->node);
	list_init(&client->node);
}

void http_client_asked(struct http_client *client)
{
	if (client != NULL)
		take_out(client);
}

void http_client_answered(struct http_client *client)
{
	if (client == NULL)
		return;
	take_out(client);
	set_silent(client);
}

void http_client_gone(struct http_client *client)
{
	if (client == NULL)
		return;
	take_out(client);
	client->clients->count--;
	free(client);
}

int http_clients_turn(struct http_clients *clients)
{
	uint64_t now_ns = clock_monotonic_ns();
	unsigned left = clients->count;

	while (left >= HTTP_CONNECTIONS_HIGH && !list_empty(&clients->silent)) {
		struct http_client *client = list_entry(clients->silent.next, struct http_client, node);
		uint64_t silence_ms = (now_ns - client->since_ns) / 1000000;

		if (silence_ms < HTTP_SILENCE_MS)
			return (int)(HTTP_SILENCE_MS - silence_ms);
		take_out(client);
		shutdown(client->socket, SHUT_RDWR); /* the library sees the end, and closes */
		left--;
	}
	return -1;
}
