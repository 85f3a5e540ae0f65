#include "vpc/drop.h"

static const char *const names[DROP_REASON_COUNT] = {"none",
#define X(name, text, sentence) text,
						     DROP_REASONS(X)
#undef X
};

static const char *const sentences[DROP_REASON_COUNT] = {"",
#define X(name, text, sentence) sentence,
							 DROP_REASONS(X)
#undef X
};

const char *drop_name(enum drop_reason reason)
{
	return names[reason];
}

const char *drop_sentence(enum drop_reason reason)
{
	return sentences[reason];
}
