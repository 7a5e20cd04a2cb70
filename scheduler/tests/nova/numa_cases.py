#!/usr/bin/env python3
"""Random cases for NUMATopologyFilter and PciPassthroughFilter, with Nova's own answers.

    python numa_cases.py ORACLE OUT.jsonl.gz [--seed N] [--cases N] [--keep N] [--only ID] [--python PYTHON]

ORACLE is a program that reads one case a line with --jsonl and prints what the real Nova answers. Each line of the
output is {"input", "expected"}, reduced to what the test reads. --keep keeps that many cases, those that show most; --only asks for one
case alone. Outputs can be joined with cat.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys

NUMA, PCI = 'NUMATopologyFilter', 'PciPassthroughFilter'


def uuid(group, number):
    return '%08x-0000-4000-8000-%012x' % (group, number)


def chance(rng, probability):
    return rng.random() < probability


def host_cells(rng, socket_known):
    """Cells of one host. The CPUs of a core are consecutive numbers, which CPython's sets iterate in order."""
    count = rng.choice([1, 1, 2, 2, 2, 2, 3, 4, 4, 6])
    threads = rng.choice([1, 2, 2, 2, 4])
    cores = rng.choice([1, 2, 2, 4, 8])
    layout = rng.choice(['legacy', 'split', 'split', 'dedicated', 'dedicated', 'shared', 'random'])
    pages = rng.choice(['none', 'small', 'two', 'two', 'three', 'three', 'large'])
    networks = chance(rng, 0.3)
    first = rng.choice([0, 0, 0, 0, 1, 2])
    memory = rng.choice([1024, 2048, 2048, 4096])
    cells = []
    for number in range(count):
        cpus = list(range(number * cores * threads, (number + 1) * cores * threads))
        siblings = [cpus[at:at + threads] for at in range(0, len(cpus), threads)]
        half = len(cpus) // 2
        cpuset, pcpuset = {
            'legacy': (cpus, cpus), 'split': (cpus[:half], cpus[half:]), 'dedicated': ([], cpus),
            'shared': (cpus, []),
            'random': (sorted(rng.sample(cpus, rng.randint(0, len(cpus)))),
                       sorted(rng.sample(cpus, rng.randint(0, len(cpus)))))}[layout]
        pinned = sorted(rng.sample(pcpuset, rng.randint(0, len(pcpuset)) if chance(rng, 0.5) else 0))
        if chance(rng, 0.05):
            siblings = siblings[:len(siblings) // 2]
        cell = {
            'id': first + number, 'cpuset': cpuset, 'pcpuset': pcpuset, 'memory': memory,
            'cpu_usage': rng.choice([0, 0, 1, 2, 4, 16]), 'memory_usage': rng.choice([0, 0, 256, 512, 1024, 3000]),
            'pinned_cpus': pinned, 'siblings': siblings, 'mempages': mempages(rng, pages, memory),
            'socket': number // 2 if socket_known else rng.choice([None, 0, 1])}
        if networks and chance(rng, 0.8):
            cell['network_metadata'] = network(rng)
        cells.append(cell)
    if chance(rng, 0.02):
        for cell in cells:
            cell['siblings'] = []
    return cells


def mempages(rng, kind, memory):
    sizes = {'none': [], 'small': [4], 'two': [4, 2048], 'three': [4, 2048, 1048576], 'large': [2048]}[kind]
    if chance(rng, 0.1):
        sizes = [size for size in sizes if chance(rng, 0.6)]
    if chance(rng, 0.2):
        sizes = sizes[::-1]
    pages = []
    for size in sizes:
        total = max(memory * 1024 // size // rng.choice([1, 1, 2]), rng.choice([0, 1, 4]))
        pages.append({'size_kb': size, 'total': total,
                      'used': rng.choice([0, 0, total // 4, total // 2, total]),
                      'reserved': rng.choice([0, 0, 0, min(64, total)])})
    return pages


def network(rng):
    return {'physnets': sorted(rng.sample(['physnet0', 'physnet1', 'Physnet2'], rng.randint(0, 2))),
            'tunneled': chance(rng, 0.4)}


DEVICES = [('8086', '1515'), ('8086', '10fb'), ('15b3', '1018'), ('10DE', '1db4')]
TYPES = ['type-PCI', 'type-VF', 'type-VF', 'type-PF', 'vdpa']


def pools(rng, host, cells):
    found = []
    for number in range(rng.choice([0, 1, 2, 3, 3, 4, 6])):
        vendor, product = rng.choice(DEVICES[:rng.choice([1, 2, 4])])
        pool = {'vendor_id': vendor, 'product_id': product, 'count': rng.choice([0, 1, 1, 2, 3, 8]),
                'numa_node': rng.choice([None] + [cell['id'] for cell in cells] * 2),
                'dev_type': rng.choice(TYPES[:rng.choice([2, 5])])}
        if chance(rng, 0.4):
            pool['address'] = '0000:%02x:00.0' % number
        if chance(rng, 0.3):
            pool['physical_network'] = rng.choice(['physnet0', 'Physnet0', 'physnet1'])
        if chance(rng, 0.2):
            pool['remote_managed'] = rng.choice(['true', 'True', 'false', 'yes'])
        if chance(rng, 0.25):
            pool['live_migratable'] = rng.choice(['true', 'false', 'True'])
        if chance(rng, 0.6):
            pool['rp_uuid'] = uuid(7, host * 100 + number if chance(rng, 0.95) else host * 100)
        found.append(pool)
    return found


def spec(rng):
    vendor, product = rng.choice(DEVICES[:rng.choice([1, 2, 4])])
    wanted = {}
    if chance(rng, 0.9):
        wanted.update(vendor_id=vendor.lower(), product_id=product)
    if chance(rng, 0.5):
        wanted['dev_type'] = rng.choice(TYPES)
    if chance(rng, 0.15):
        wanted['physical_network'] = rng.choice(['physnet0', 'PHYSNET0'])
    if chance(rng, 0.1):
        wanted['remote_managed'] = rng.choice(['true', 'True', 'false'])
    if chance(rng, 0.15):
        wanted['live_migratable'] = rng.choice(['true', 'false', 'TRUE'])
    if chance(rng, 0.1):
        wanted['resource_class'] = 'CUSTOM_GPU'
    return wanted


def pci_requests(rng):
    requests = []
    for number in range(rng.choice([1, 1, 1, 2, 3])):
        request = {'request_id': uuid(8, number), 'count': rng.choice([0, 1, 1, 1, 2, 3]),
                   'spec': [spec(rng) for _ in range(rng.choice([1, 1, 1, 2]))],
                   'alias_name': rng.choice([None, 'gpu', 'nic']),
                   'numa_policy': rng.choice([None, 'required', 'legacy', 'preferred', 'socket'])}
        if chance(rng, 0.1):
            request['spec'][0]['rp_uuids'] = ','.join(uuid(7, n) for n in rng.sample(range(4), rng.randint(1, 2)))
        if chance(rng, 0.02):
            request['spec'] = []
        if chance(rng, 0.02):
            request['request_id'] = None
        requests.append(request)
    return requests


def candidates(rng, number, host, requests, has_groups):
    own = host['uuid']
    found = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        mappings = {'': [own]}
        for request in requests:
            if not (has_groups and request['alias_name'] and request['request_id']):
                continue
            for unit in range(request['count']):
                known = [pool['rp_uuid'] for pool in host['pci_pools'] or [] if 'rp_uuid' in pool]
                chosen = rng.choice(known) if known and chance(rng, 0.9) else uuid(7, number * 100 + 99)
                mappings['%s-%d' % (request['request_id'], unit)] = [chosen]
        found.append({'allocations': {own: {'resources': {'VCPU': 1}}}, 'mappings': mappings})
    if chance(rng, 0.03):
        return []
    return found


def host(rng, number, requests, has_groups):
    cells = host_cells(rng, chance(rng, 0.8))
    made = {'host': 'host%d' % number, 'node': 'host%d' % number, 'uuid': uuid(1, number),
            'cpu_allocation_ratio': rng.choice([1.0, 1.5, 4.0, 16.0]),
            'ram_allocation_ratio': rng.choice([1.0, 1.5, 2.0]),
            'numa_topology': {'cells': cells}, 'pci_pools': pools(rng, number, cells)}
    if chance(rng, 0.03):
        made['numa_topology'] = rng.choice([None, {'cells': []}])
    if chance(rng, 0.03):
        made['pci_pools'] = None
    made['allocation_candidates'] = candidates(rng, number, made, requests, has_groups)
    return made


def numa_topology(rng):
    count = rng.choice([1, 1, 1, 2, 2, 2, 3, 4])
    policy = rng.choice([None, 'shared', 'dedicated', 'dedicated', 'dedicated', 'mixed', 'mixed'])
    threads = rng.choice([None, 'prefer', 'isolate', 'require']) if policy in ('dedicated', 'mixed') else None
    pagesize = rng.choice([None, None, -1, -2, -3, 4, 2048, 1048576])
    same = chance(rng, 0.5)
    cells, vcpu = [], 0
    size, memory = rng.choice([1, 2, 2, 3, 4, 6]), rng.choice([128, 256, 512, 1024, 2048, 3])
    for number in range(count):
        if not same:
            size, memory = rng.choice([1, 2, 3, 4, 8]), rng.choice([127, 128, 256, 512, 1024, 1024, 2048])
        cpus = list(range(vcpu, vcpu + size))
        vcpu += size
        cut = {'dedicated': 0, 'mixed': rng.randint(0, size)}.get(policy, size)
        cells.append({'id': number, 'cpuset': cpus[:cut], 'pcpuset': cpus[cut:], 'memory': memory,
                      'pagesize': pagesize, 'cpu_policy': policy, 'cpu_thread_policy': threads})
    emulator = rng.choice([None, 'share', 'isolate']) if policy in ('dedicated', 'mixed') else None
    return {'cells': cells, 'emulator_threads_policy': emulator}


def case(rng, number):
    wants_devices = chance(rng, 0.5)
    topology = numa_topology(rng) if chance(rng, 0.85) else None
    requests = pci_requests(rng) if wants_devices else []
    has_groups = chance(rng, 0.5)
    extra_specs, properties = {}, {}
    if topology and topology['cells'][0]['cpu_policy']:
        place = rng.choice(['flavor', 'image'])
        policy, threads = topology['cells'][0]['cpu_policy'], topology['cells'][0]['cpu_thread_policy']
        if place == 'flavor':
            extra_specs['hw:cpu_policy'] = policy
            if threads:
                extra_specs['hw:cpu_thread_policy'] = threads
        else:
            properties['hw_cpu_policy'] = policy
            if threads:
                properties['hw_cpu_thread_policy'] = threads
    request = {'flavor': {'vcpus': 2, 'memory_mb': 512, 'extra_specs': extra_specs},
               'image': {'id': uuid(4, 1), 'disk_format': 'qcow2', 'properties': properties},
               'numa_topology': topology, 'pci_requests': requests if wants_devices else None}
    if chance(rng, 0.25):
        request['network_metadata'] = network(rng)
    hosts = [host(rng, at, requests, has_groups) for at in range(rng.randint(2, 5))]
    made = {'schema': 'nova-sched-oracle/1', 'id': 'numa-%d' % number, 'kind': 'filter', 'hosts': hosts,
            'filters': rng.choice([[NUMA], [PCI], [NUMA, PCI], [PCI, NUMA]]) if requests else [NUMA],
            'weighers': [], 'request': request, 'config': {}}
    if chance(rng, 0.2):
        made['config'] = {'compute': {'packing_host_numa_cells_allocation_strategy': True}}
    if chance(rng, 0.6):
        add_select(rng, made, has_groups)
    return made


def add_select(rng, made, has_groups):
    """Several instances one after the other: what consuming a host leaves behind."""
    request = made['request']
    count = rng.choice([1, 2, 3, 4])
    uuids = [uuid(9, at) for at in range(count)]
    request.update(instance_uuid=uuids[0], num_instances=count)
    if has_groups:
        request['requested_resources'] = [
            {'requester_id': '%s-%d' % (one['request_id'], unit), 'resources': {}}
            for one in request['pci_requests'] or [] if one['alias_name'] and one['request_id']
            for unit in range(one['count'])]
    if chance(rng, 0.1):
        request['force_hosts'] = [made['hosts'][0]['host']]
    if chance(rng, 0.5):
        made['hosts'] = made['hosts'][:2]
    made['kind'] = 'select'
    made['select'] = {'instance_uuids': uuids, 'return_alternates': False}


def ask(python, oracle, cases):
    text = ''.join(json.dumps(one) + '\n' for one in cases)
    done = subprocess.run([python, oracle, '--jsonl'], input=text, capture_output=True, text=True)
    answers = done.stdout.splitlines()
    if len(answers) != len(cases):
        sys.exit('the oracle stopped at case %s\n%s' % (cases[len(answers)]['id'], done.stderr[-2000:]))
    return [json.loads(answer) for answer in answers]


def reduced(one, answer):
    """What the test reads."""
    expected = {key: answer[key] for key in ('pre', 'filters_skipped', 'pipeline', 'independent')}
    expected['host_states'] = [{key: state[key] for key in ('cpu_allocation_ratio', 'ram_allocation_ratio')}
                               for state in answer['host_states']]
    select = answer.get('select')
    if select:
        expected['select'] = {
            'claims': select['claims'],
            'selections': select['selections'] and [
                row[:1] and [{'allocation_request': row[0]['allocation_request']}] for row in select['selections']],
            'final_hosts': {at: {'numa': final['numa'], 'pci_pools': final['pci_pools']}
                            for at, final in select['final_hosts'].items()}}
    given = {key: value for key, value in one.items() if key not in ('schema', 'kind', 'weighers')}
    return {'input': given, 'expected': expected}


def interest(record):
    """Cases where hosts differ, candidates are dropped or several instances come to one host show most."""
    expected = record['expected']
    points = 0
    for name, alone in expected['independent'].items():
        points += 2 if 0 < len(alone['pass']) < len(record['input']['hosts']) else 0
        points += 3 if alone['errors'] else 0
    for step in expected['pipeline']:
        for at, left in step.get('candidates', {}).items():
            points += 2 if len(left) < len(record['input']['hosts'][int(at)]['allocation_candidates']) else 0
    claims = expected.get('select', {}).get('claims', [])
    return points + 2 * len(claims)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('oracle')
    parser.add_argument('out')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--cases', type=int, default=1000)
    parser.add_argument('--keep', type=int)
    parser.add_argument('--only')
    parser.add_argument('--python', default=sys.executable)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    cases = [case(rng, number) for number in range(options.cases)]
    cases = [one for one in cases if options.only in (None, one['id'])]
    records = [reduced(*pair) for pair in zip(cases, ask(options.python, options.oracle, cases))]
    if options.keep:
        records = sorted(records, key=lambda one: (-interest(one), one['input']['id']))[:options.keep]
    with open(options.out, 'wb') as raw, gzip.GzipFile('', 'wb', 9, raw, mtime=0) as packed:
        for record in records:
            packed.write(json.dumps(record, sort_keys=True, separators=(',', ':')).encode() + b'\n')


if __name__ == '__main__':
    main()
