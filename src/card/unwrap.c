/*
 * Keys of encrypted volumes. A request is sent to the vault and sent again each second (a vault that was restarted lost what it
 * had read; unwrapping twice is harmless) until it is answered or UNWRAP_PATIENCE_S is over. The key exists here, in secret
 * memory, from the answer until the volume was opened, which copies it into its own secret memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "card/device.h"

enum { UNWRAP_PATIENCE_S = 8 };

struct unwrap {
	struct list link;
	struct device *device;
	uint64_t request_id;
	unsigned seconds;
	struct volume_spec spec;
};

static void forget(struct unwrap *u)
{
	list_del(&u->link);
	free(u);
}

void unwrap_start(struct device *d, const struct volume_spec *spec)
{
	struct card *card = d->card;
	struct unwrap *u = card->config.vault_channel < 0 ? NULL : calloc(1, sizeof(*u));

	if (u == NULL) {
		device_refuse(d, "vault_unavailable", "this card was started without a vault: encrypted volumes cannot be opened");
		return;
	}
	u->device = d;
	u->request_id = ++card->unwrap_last_id;
	u->spec = *spec;
	u->spec.config.name = u->spec.name;
	u->spec.config.path = spec->config.path == NULL ? NULL : u->spec.path;
	list_add_tail(&card->unwraps, &u->link);
	vault_unwrap_send(card->config.vault_channel, u->request_id, &u->spec.dek);
}

void unwrap_cancel(struct device *d)
{
	list_for_each_safe (node, after, &d->card->unwraps) {
		struct unwrap *u = list_entry(node, struct unwrap, link);

		if (u->device == d)
			forget(u);
	}
}

static struct unwrap *find(struct card *card, uint64_t request_id)
{
	list_for_each_safe (node, after, &card->unwraps) {
		struct unwrap *u = list_entry(node, struct unwrap, link);

		if (u->request_id == request_id)
			return u;
	}
	return NULL;
}

static const char *refusal_code(enum vault_error error)
{
	switch (error) {
	case VAULT_LOCKED:
		return "vault_locked";
	case VAULT_UNAVAILABLE:
		return "vault_unavailable";
	default:
		return "key_refused";
	}
}

static void take_answer(struct unwrap *u, enum vault_error error, const uint8_t *key)
{
	struct device *d = u->device;
	struct volume_config config = u->spec.config;

	if (error != VAULT_OK) {
		device_refuse(d, refusal_code(error), vault_error_text(error)); /* forgets u, through unwrap_cancel */
		return;
	}
	config.key = key;
	list_del(&u->link);
	device_open(d, &config);
	free(u);
}

int unwrap_open(struct card *card)
{
	card->unwrap_key = secret_alloc(VAULT_KEY_BYTES);
	if (card->unwrap_key == NULL)
		log_error("no locked memory for a volume key: raise LimitMEMLOCK of the card");
	return card->unwrap_key == NULL ? -ENOMEM : 0;
}

void unwrap_close(struct card *card)
{
	secret_free(card->unwrap_key, VAULT_KEY_BYTES);
}

void unwrap_ready(struct card *card)
{
	enum vault_error error;
	uint64_t request_id;

	while (vault_unwrap_receive(card->config.vault_channel, &request_id, &error, card->unwrap_key) == 0) {
		struct unwrap *u = find(card, request_id);

		if (u != NULL) /* else: answered twice, or given up */
			take_answer(u, error, card->unwrap_key);
		secret_wipe(card->unwrap_key, VAULT_KEY_BYTES);
	}
}

void unwrap_tick(struct card *card)
{
	list_for_each_safe (node, after, &card->unwraps) {
		struct unwrap *u = list_entry(node, struct unwrap, link);

		if (++u->seconds >= UNWRAP_PATIENCE_S)
			device_refuse(u->device, "vault_unavailable", vault_error_text(VAULT_UNAVAILABLE));
		else if (u->seconds > 1)
			vault_unwrap_send(card->config.vault_channel, u->request_id, &u->spec.dek);
	}
}
