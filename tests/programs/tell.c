/* tell FILE WORD...: appends the words as one line to FILE ("-": standard output) and exits: one write, so that the
 * lines of many never mix and their order is the order in which they ran. */
#include "common.h"

int main(int argc, char **argv)
{
	if (argc < 3) usage("tell FILE WORD...");
	char text[4096];
	size_t length = 0;
	for (int i = 2; i < argc; i++) {
		size_t word = strlen(argv[i]);
		if (length + word + 1 > sizeof text) usage("tell FILE WORD... (4,095 bytes at most)");
		memcpy(text + length, argv[i], word);
		length += word;
		text[length++] = i + 1 < argc ? ' ' : '\n';
	}
	int fd = 1;
	if (strcmp(argv[1], "-")) fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0644);
	if (fd < 0 || write(fd, text, length) != (ssize_t)length) die(argv[1]);
	return 0;
}
