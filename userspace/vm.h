/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_VM_H
#define NESTOR_VM_H

#include <stdatomic.h>

#include "bus.h"
#include "irq.h"
#include "kvm.h"
#include "loop.h"
#include "memory.h"
#include "vcpu.h"

#define VM_MAX_CPUS 255
#define VM_MAX_DISKS 16

/* Why a VM stopped; the first reason counts. */
enum vm_end {
	VM_RUNNING,
	VM_POWEROFF,
	VM_REBOOT,
	VM_ESCAPED,
	VM_SIGINT,
	VM_SIGTERM,
	VM_SIGHUP,
	VM_SIGQUIT,
	VM_CRASHED,
};

/**
 * struct vm_config - the machine that the user asked for
 * @cpus: vCPUs, 1 to VM_MAX_CPUS
 * @memory: bytes of RAM
 * @backing: host pages under it
 * @disks: paths of the disk images, "disk0" first
 * @nr_disks: how many there are
 * @net: whether there is a network card
 * @virtio_console: whether the terminal's input goes to the virtio console
 *	rather than to the serial port
 */
struct vm_config {
	unsigned int cpus;
	uint64_t memory;
	enum page_backing backing;
	const char *disks[VM_MAX_DISKS];
	unsigned int nr_disks;
	bool net;
	bool virtio_console;
};

/* The devices of one VM, each made and freed by its row in the device table. */
struct vm_devices {
	struct term *term;
	struct serial *serial;
	struct rtc *rtc;
	struct power *power;
	struct pci_bus *pci;
	struct virtio_blk *disks[VM_MAX_DISKS];
	struct virtio_console *console;
	struct virtio_net *net;
	struct virtio_rng *rng;
};

/**
 * struct vm - a virtual machine
 * @kvm: the hypervisor
 * @fd: the VM's descriptor
 * @config: what was asked for; constant
 * @ram_map: host mapping of all RAM
 * @ram_size: its bytes
 * @ram: the runs that it makes in guest-physical space; constant after creation
 * @nr_ram: how many runs
 * @bus: ports and memory that devices answer
 * @irq: interrupt routes
 * @vcpus: @nr_vcpus of them
 * @nr_vcpus: how many have been created
 * @loop: the main thread's event loop
 * @dev: the devices
 * @end: an enum vm_end; set once, by vm__end()
 * @unknown_mmio: accesses that no device answered
 */
struct vm {
	const struct kvm *kvm;
	int fd;
	const struct vm_config *config;
	void *ram_map;
	uint64_t ram_size;
	struct ram ram[2];
	unsigned int nr_ram;
	struct bus bus;
	struct irq_table irq;
	struct vcpu *vcpus;
	unsigned int nr_vcpus;
	struct loop loop;
	struct vm_devices dev;
	atomic_int end;
	atomic_uint unknown_mmio;
};

int vm__create(struct vm *vm, const struct kvm *kvm, const struct vm_config *config);
void vm__destroy(struct vm *vm);
int vm__set_slot(struct vm *vm, unsigned int slot, uint64_t gpa, uint64_t size, void *host);
int vm__start(struct vm *vm);
void vm__join(struct vm *vm);
bool vm__end(struct vm *vm, enum vm_end why);

static inline enum vm_end vm__ended(const struct vm *vm)
{
	return (enum vm_end)atomic_load_explicit(&vm->end, memory_order_acquire);
}

#endif
