#include "control/net_view.h"

#include "control/control.h"
#include "control/net_attach.h"
#include "control/net_change.h"

json_t *net_attachment_view(const struct net_attachment_row *row)
{
	return json_pack("{s:s,s:o,s:o,s:o,s:I,s:b,s:s,s:o,s:o}", "kind", net_attachment_names[row->kind], "socket",
			 view_text(row->socket), "tap", view_text(row->tap), "netns", view_text(row->netns), "queues",
			 (json_int_t)row->queues, "packed", (int)row->packed, "state", row->state, "reason", view_text(row->reason),
			 "created_at", view_time(row->created_s));
}

/* In the order of the kind's fields, with what is not there left out. */
static json_t *ordered(enum net_kind kind, const json_t *object)
{
	json_t *view = json_object();

	for (const struct net_field *f = net_kinds[kind].fields; f->name != NULL; f++) {
		json_t *value = json_object_get(object, f->name);

		if (value != NULL)
			json_object_set(view, f->name, value);
	}
	return view;
}

static void add_attachment(struct store *store, const struct uuid *eni, json_t *view)
{
	struct net_attachment_row row;
	bool there = store_net_attachment_get(store, eni, &row) == 0 && row.phase != ATTACHMENT_ATTACHING;

	json_object_set_new(view, "attachment", there ? net_attachment_view(&row) : json_null());
}

json_t *net_view(struct store *store, const struct net_row *row)
{
	const struct net_kind_description *kind = &net_kinds[row->kind];
	json_t *object = net_object_of(row), *view;

	if (object == NULL)
		return NULL;
	view = ordered(row->kind, object);
	json_decref(object);
	json_object_set_new(view, "id", view_uuid(&row->id));
	if (kind->counts != NULL)
		json_object_set_new(view, kind->counts, json_integer((json_int_t)row->item_count));
	if (row->kind == NET_ENI)
		add_attachment(store, &row->id, view);
	json_object_set_new(view, "created_at", view_time(row->created_s));
	return view;
}
