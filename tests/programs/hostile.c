/* hostile SUPERVISOR ROUNDS: what an engine could do that is nobody's friend. It runs as the engine does, with the
 * engine's descriptors (src/host/descriptors.rs), and does to each what can be done to a descriptor, then ROUNDS times
 * writes into every word of the orders and rings, then does all of that to the descriptors again.
 *
 * What must not be possible is tried, too: if it succeeds it is named, and the exit code is 1. One thing is left out,
 * which an engine may do: to ask for the end of the machine (word 9 is never 1). */
#include "common.h"
#include <sched.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { DATABASE = 3, ORDERS, REPORTS, PUBLISHED, STATE, CONTROL, TO_SUPERVISOR, TO_ENGINE };
/* Words of a header, and what follows it. */
enum { SERVICES = 2, INSTANCES = 3, TEXTS = 4, RING_HEAD = 5, ROW = 7, MACHINE = 9, RING = 64, RING_ENTRIES = 1024 };
enum { ROWS = RING + RING_ENTRIES };

static int failed;

static void forbidden(const char *what, int done)
{
	if (!done) return;
	dprintf(2, "could %s\n", what);
	failed = 1;
}

static uint32_t any(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;
	state ^= state << 13, state ^= state >> 7, state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static void use_descriptors(void)
{
	for (int fd = DATABASE; fd <= TO_ENGINE; fd++) {
		int fixed = fd == DATABASE || fd == ORDERS || fd == REPORTS || fd == STATE;
		int foreign = fd == DATABASE || fd == REPORTS;
		off_t length = lseek(fd, 0, SEEK_END);
		forbidden("change the length of what is sealed", !ftruncate(fd, 0) && fixed);
		forbidden("make longer what is sealed", !ftruncate(fd, 1 << 24) && fixed);
		for (int mode = 1; mode < 0x80; mode <<= 1) {
			int done = !fallocate(fd, mode | (mode == 2 ? 1 : 0), 0, length > 0 ? length : 4096);
			forbidden("change what belongs to the supervisor", done && foreign);
		}
		forbidden("write what belongs to the supervisor", pwrite(fd, "x", 1, 0) > 0 && foreign);
		forbidden("map to write what belongs to the supervisor",
			foreign && mmap(0, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
		char name[64];
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		forbidden("open to write what belongs to the supervisor", foreign && open(name, O_RDWR) >= 0);
		forbidden("change permissions", !fchmod(fd, 0777) && (foreign || fd == PUBLISHED));
		for (int seal = 1; seal < 0x40; seal <<= 1) fcntl(fd, F_ADD_SEALS, seal);
		fcntl(fd, F_SETLEASE, F_WRLCK);
		fcntl(fd, F_SETLEASE, F_RDLCK);
		flock(fd, LOCK_EX | LOCK_NB);
		struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		fcntl(fd, F_OFD_SETLK, &whole);
		fcntl(fd, F_SETPIPE_SZ, 4096);
		int off = 0;
		ioctl(fd, FIONBIO, &off);
		fcntl(fd, F_SETFL, 0);
		if (fd == CONTROL) {
			listen(fd, 0);
			shutdown(fd, SHUT_RDWR);
		}
	}
}

static void attack_process(int pid)
{
	for (int signal = 1; signal <= 64; signal++) forbidden("send a signal to the supervisor", !kill(pid, signal));
	forbidden("trace the supervisor", !ptrace(PTRACE_SEIZE, pid, 0, 0));
	char name[64], byte;
	for (int file = 0; file < 3; file++) {
		snprintf(name, sizeof name, file == 0 ? "/proc/%d/mem" : file == 1 ? "/proc/%d/fd/4" : "/proc/%d/oom_score_adj", pid);
		forbidden("open what is the supervisor's in /proc", open(name, O_WRONLY) >= 0);
	}
	struct iovec ours = { &byte, 1 }, theirs = { (void *)0x400000, 1 };
	forbidden("read the supervisor's memory", process_vm_readv(pid, &ours, 1, &theirs, 1, 0) > 0);
	int handle = (int)syscall(SYS_pidfd_open, pid, 0);
	forbidden("get descriptors of the supervisor", handle >= 0 && syscall(SYS_pidfd_getfd, handle, 4, 0) >= 0);
	forbidden("become root", !setuid(0) || !setgid(0));
	forbidden("raise its priority", !sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }));
}

static uint32_t *orders;
static size_t count;
static uint32_t services, slots, texts, row;

static void set(size_t at, uint32_t value)
{
	if (at < count) orders[at] = at == MACHINE && value == 1 ? 2 : value;
}

/* Rows that look like rows. */
static void give_orders(void)
{
	static const char *const names[] = {
		"eth0", "wlan1", "../escaped", "..", "a b", "%s%n", "", "x:4777", "line\nfeed", "/etc", "$(reboot)", "\"quoted\"",
	};
	static const char *const passed[] = {
		"IFACE=eth0", "IFACE=../../escaped", "IFACE=/etc", "IFACE=", "PATH=/hostile", "LD_PRELOAD=/hostile.so", "IFACE", "=",
		"PINTLE_HELD=7", "IFACE=x\nEVIL=1",
	};
	size_t behind = ROWS + (size_t)slots * row, text_row = texts ? (count - behind) / texts : 0;
	for (uint32_t text = 0; text < texts; text++) {
		unsigned char *bytes = (unsigned char *)(orders + behind + text * text_row + 1);
		size_t length = (text_row - 1) * 4;
		memset(bytes, any() % 8 ? 0 : 'x', length);
		strcpy((char *)bytes, names[any() % (sizeof names / sizeof *names)]);
		strcpy((char *)bytes + length - 256, passed[any() % (sizeof passed / sizeof *passed)]);
		set(behind + text * text_row, any() & ~1u);
	}
	for (uint32_t slot = 0; slot < slots; slot++) {
		size_t at = ROWS + (size_t)slot * row;
		set(at + 1, any());
		set(at + 2, any() % 16 ? any() % 2 | (any() % 4 ? 0 : 0x100) : any());
		set(at + 3, any() % 4 ? 0 : any());
		set(at + 4, any() % 4 ? 0 : any());
		set(at + 5, slot < services && any() % 4 ? slot : any() % (services + 2));
		set(at + 6, any() % (texts + 2));
		set(at, any() & ~1u);
		set(RING + orders[RING_HEAD] % RING_ENTRIES, slot);
		orders[RING_HEAD]++;
	}
}

int main(int argc, char **argv)
{
	const char *line = "hostile SUPERVISOR ROUNDS";
	if (argc != 3) usage(line);
	int supervisor = number(argv[1], line), rounds = number(argv[2], line);
	signal(SIGPIPE, SIG_IGN);
	count = (size_t)lseek(ORDERS, 0, SEEK_END) / 4;
	orders = mmap(0, count * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ORDERS, 0);
	if (orders == MAP_FAILED) die("orders");
	services = orders[SERVICES], slots = services + orders[INSTANCES], texts = orders[TEXTS], row = orders[ROW];
	if (ROWS + (size_t)slots * row > count) die("the layout of the orders");
	static char rings[65536];
	attack_process(supervisor);
	for (int round = 0; round < rounds; round++) {
		switch (round % 4) {
		case 0:
			for (size_t at = 0; at < count; at++) set(at, any());
			break;
		case 2:
			for (uint32_t at = 0; at < RING_ENTRIES; at++) set(RING + at, any());
			orders[RING_HEAD] += any() % 4096;
			fcntl(TO_SUPERVISOR, F_SETFL, O_NONBLOCK);
			while (write(TO_SUPERVISOR, rings, sizeof rings) > 0) {}
			break;
		default:
			give_orders();
		}
		if (write(TO_SUPERVISOR, "!", 1) != 1 && errno != EAGAIN) die("the doorbell");
		sleep_ms(1);
		if (round == rounds / 2) use_descriptors();
	}
	use_descriptors();
	memset(orders, 0xff, RING * 4);
	munmap(orders, count * 4);
	use_descriptors();
	int state = (int)(lseek(STATE, 0, SEEK_END) / 4);
	uint32_t *memory = mmap(0, (size_t)state * 4, PROT_READ | PROT_WRITE, MAP_SHARED, STATE, 0);
	if (memory != MAP_FAILED) for (int at = 8; at < state; at++) memory[at] = any();
	return failed;
}
