/* Feeds every file of a corpus folder to one fuzz target: what libFuzzer's own main would do, without libFuzzer. TAP on stdout. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *folder, const char *name)
{
	static uint8_t data[1 << 20];
	char path[4096];
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (f == NULL)
		return -1;
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	return LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	int count = argc < 2 ? -1 : scandir(argv[1], &entries, NULL, alphasort), tests = 0;

	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			bool good = replay(argv[1], entries[i]->d_name) >= 0;

			printf("%s %d - %s\n", good ? "ok" : "not ok", ++tests, entries[i]->d_name);
			fflush(stdout);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	printf("1..%d\n", tests);
	return tests > 0 ? 0 : 1; /* an empty corpus is a mistake */
}
