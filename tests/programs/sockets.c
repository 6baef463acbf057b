/* sockets [-a] [-g NAME]... [-r NAME] [-n]: a service that is passed sockets and descriptors (sd_listen_fds(3)). It says on
 * standard output "fds NAMES", as LISTEN_FDNAMES has them, behind each that is a file its text, as "b=text"; "fds" alone
 * where there are none. Where LISTEN_PID is not its own, or LISTEN_FDS and LISTEN_FDNAMES do not fit, it exits with 3.
 * -g gives a file in memory, whose text is our pid, into keeping under NAME; -r has NAME let go; both tell
 * $NOTIFY_SOCKET, which is then told READY=1, as it is with -n. -p gives the reading end of a pipe under NAME, whose
 * writing end only we have; -P both ends, one after the other. -a answers whoever connects to descriptor 3 with our pid, or whoever sends it a datagram;
 * without, it sleeps. */
#include "common.h"
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int sock = -1;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_length;

static void tell(const char *text, int fd)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof fd)]; } control;
	struct iovec part = { (void *)text, strlen(text) };
	struct msghdr message = { .msg_name = &address, .msg_namelen = address_length, .msg_iov = &part, .msg_iovlen = 1 };
	if (fd >= 0) {
		message.msg_control = control.room;
		message.msg_controllen = sizeof control.room;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	if (sendmsg(sock, &message, MSG_NOSIGNAL) < 0) die("NOTIFY_SOCKET");
}

static void open_notify(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	if (!path || !*path || strlen(path) >= sizeof address.sun_path) usage("NOTIFY_SOCKET=PATH sockets");
	strcpy(address.sun_path, path);
	address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (*path == '@') address.sun_path[0] = 0;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0) die("socket");
}

static void say_passed(void)
{
	static char line[8192];
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	int length = snprintf(line, sizeof line, "fds"), fd = 3;
	if (pid && count && names) {
		if (atoi(pid) != getpid()) _exit(3);
		char *copy = strdup(names);
		for (char *name; (name = strsep(&copy, ":")); fd++) {
			struct stat status;
			if (fstat(fd, &status)) _exit(3);
			length += snprintf(line + length, sizeof line - (size_t)length, " %s", name);
			char text[64] = "";
			if (S_ISREG(status.st_mode) && pread(fd, text, sizeof text - 1, 0) >= 0)
				length += snprintf(line + length, sizeof line - (size_t)length, "=%s", text);
		}
		if (fd - 3 != atoi(count)) _exit(3);
	} else if (pid || count || names) _exit(3);
	dprintf(1, "%s\n", line);
}

int main(int argc, char **argv)
{
	const char *line = "sockets [-a] [-g NAME]... [-p NAME] [-P NAME] [-r NAME] [-n]";
	char text[128];
	int answers = 0, option;
	say_passed();
	while ((option = getopt(argc, argv, "ag:p:P:r:n")) != -1) {
		int fd = -1, ends[2];
		if (option == 'a') {
			answers = 1;
			continue;
		}
		if (sock < 0) open_notify();
		switch (option) {
		case 'g':
			fd = memfd_create("given", MFD_CLOEXEC);
			if (fd < 0 || dprintf(fd, "%d", getpid()) < 0) die("memfd_create");
			snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", optarg);
			tell(text, fd);
			tell(text, fd); /* what is there already is not kept twice */
			break;
		case 'P':
		case 'p':
			if (pipe2(ends, O_CLOEXEC)) die("pipe");
			snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", optarg);
			tell(text, ends[0]);
			if (option == 'P') tell(text, ends[1]);
			break;
		case 'r':
			snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", optarg);
			tell(text, -1);
			break;
		case 'n': break;
		default: usage(line);
		}
	}
	if (sock >= 0) tell("READY=1", -1);
	if (!answers) sleep_for_ever();
	int kind;
	socklen_t size = sizeof kind;
	if (getsockopt(3, SOL_SOCKET, SO_TYPE, &kind, &size)) die("descriptor 3");
	int length = snprintf(text, sizeof text, "%d\n", getpid());
	for (;;) {
		if (kind == SOCK_DGRAM) {
			struct sockaddr_storage from;
			socklen_t from_size = sizeof from;
			char byte;
			if (recvfrom(3, &byte, 1, 0, (struct sockaddr *)&from, &from_size) < 0) die("recvfrom");
			sendto(3, text, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&from, from_size);
			continue;
		}
		int client = accept(3, 0, 0);
		if (client < 0) die("accept");
		if (write(client, text, (size_t)length) < 0) die("write");
		close(client);
	}
}
