#!/usr/bin/env python3
"""Random cases for every filter, weigher and whole decisions, with Nova's own answers.

    python scheduler_cases.py ORACLE OUT.jsonl.gz [--seed N] [--cases N] [--keep N] [--python PYTHON]

ORACLE is a program that reads one case a line with --jsonl and prints what the real Nova answers. Each line of the
output is {"id", "input", "expected"}. --keep keeps that many cases, those that show most.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys

import numa_cases
from numa_cases import chance, uuid

ONCE_AND_STATIC = [
    'AggregateImagePropertiesIsolation', 'AggregateInstanceExtraSpecsFilter', 'AggregateMultiTenancyIsolation',
    'AggregateTypeAffinityFilter', 'AllHostsFilter', 'ComputeCapabilitiesFilter', 'ComputeFilter',
    'DifferentHostFilter', 'ImagePropertiesFilter', 'IsolatedHostsFilter', 'SameHostFilter',
    'SimpleCIDRAffinityFilter']
DYNAMIC = [
    'AggregateIoOpsFilter', 'AggregateNumInstancesFilter', 'IoOpsFilter', 'JsonFilter', 'MetricsFilter',
    'NUMATopologyFilter', 'NumInstancesFilter', 'PciPassthroughFilter', 'ServerGroupAffinityFilter',
    'ServerGroupAntiAffinityFilter']
FILTERS = ONCE_AND_STATIC + DYNAMIC
DEFAULT_FILTERS = ['ComputeFilter', 'ComputeCapabilitiesFilter', 'ImagePropertiesFilter',
                   'ServerGroupAntiAffinityFilter', 'ServerGroupAffinityFilter']
WEIGHERS = [
    'ServerGroupSoftAffinityWeigher', 'ServerGroupSoftAntiAffinityWeigher', 'BuildFailureWeigher', 'CPUWeigher',
    'CrossCellWeigher', 'DiskWeigher', 'HypervisorVersionWeigher', 'ImagePropertiesWeigher', 'IoOpsWeigher',
    'MetricsWeigher', 'NumInstancesWeigher', 'PCIWeigher', 'RAMWeigher']
MULTIPLIERS = ['cpu', 'ram', 'disk', 'hypervisor_version', 'num_instances', 'io_ops', 'image_props', 'pci',
               'soft_affinity', 'soft_anti_affinity', 'build_failure', 'cross_cell_move']
FROM_ZERO = {'pci', 'soft_affinity', 'soft_anti_affinity'}

CELLS = ['c0000000-0000-4000-8000-00000000000%d' % number for number in (1, 2, 3)]
NUMBERS = ['0', '1', '2', '4', '8', '16', '8.0', ' 4 ', '+6', '1_0', '-1', '1e1', 'inf', 'nan', '0.5', '015', '']
WORDS = ['x86_64', 'aes', 'avx', 'avx2', 'QEMU', 'KVM', 'true', 'True', 'red', 'redblue', 'bob smith', 'é', 'ssd', '5',
         'required', '', "it's", '\u2003wide', 'a\x1cb']
OPERATORS = ['=', '==', '!=', '>=', '<=', 's==', 's!=', 's<', 's<=', 's>', 's>=', '<in>', '<all-in>', '<or>', '<', '>']
CPU_INFOS = [
    '', 'not json', '[1, 2]', '"str"', 'null', '5', '{"a": NaN}',
    json.dumps({'arch': 'x86_64', 'model': 'EPYC', 'features': ['aes', 'avx'], 'topology': {'cores': 4, 'threads': 2},
                'maxphysaddr': {'mode': 'emulate', 'bits': 46}}),
    json.dumps({'vendor': 'Intel', 'features': [], 'topology': {'cores': 8}, 'maxphysaddr': {'bits': 40}, 'ht': True,
                'ghz': 2.5, 'big': 1e22, 'tiny': 1e-7, 'long': 10 ** 20, 'name': "it's \"é\"\n", 'none': None}),
    json.dumps({'vendor': '{"nested": {"deep": [1, {"x": "y"}]}}', 'features': ["a'b", 1.0, False, None]})]
ATTRIBUTES = ['host', 'nodename', 'uuid', 'free_ram_mb', 'free_disk_mb', 'disk_mb_used', 'vcpus_total', 'vcpus_used',
              'num_instances', 'num_io_ops', 'failed_builds', 'host_ip', 'hypervisor_type', 'hypervisor_version',
              'hypervisor_hostname', 'cpu_info', 'supported_instances', 'limits', 'ram_allocation_ratio',
              'cpu_allocation_ratio', 'disk_allocation_ratio', 'cell_uuid', 'updated', 'total_usable_ram_mb',
              'total_usable_disk_gb', 'stats']
PATHS = ['cpu_info:arch', 'cpu_info:features', 'cpu_info:topology:cores', 'cpu_info:topology', 'cpu_info:ht',
         'cpu_info:ghz', 'cpu_info:big', 'cpu_info:tiny', 'cpu_info:long', 'cpu_info:name', 'cpu_info:none',
         'cpu_info:vendor:nested:deep', 'cpu_info:vendor:nested', 'cpu_info:a', 'stats:cap', 'cap:a:b', 'cap:a', 'ssd',
         'missing', 'stats:num_instances', 'service:disabled', 'limits:x', '_lock_name', 'hypervisor_type:x', 'free_ram_mb:x', 'supported_instances:0', 'bad', 'cpu_info:maxphysaddr:bits']
PROPERTIES = {
    'hw_architecture': ['x86_64', 'i386', 'AMD64', 'aarch64'], 'architecture': ['x86_64', 'i686'],
    'img_hv_type': ['kvm', 'qemu', 'KVM', 'xen', 'baremetal'], 'hypervisor_type': ['xapi', 'kvm'],
    'hw_vm_mode': ['hvm', 'HV', 'xen', 'exe'], 'vm_mode': ['pv', 'hvm'],
    'img_hv_requested_version': ['>=2.6', '>=2.6, <8.0', '==6.2.0', '!=8.0', '<= 4.2.1', '>1!0', '>=2.6rc1', '<8.0.post1',
                                 '==2.11.1+local', '>8.0.dev3', '>=v2.6.0.0'],
    'hypervisor_version_requires': ['<4', '> 2.6'], 'hw_cpu_cores': ['0', '2', ' 4 ', 2],
    'hw_vif_multiqueue_enabled': ['true', 'no', 'YES', True], 'os_distro': ['debian', 'ubuntu', ''],
    'os_type': ['linux', 'Windows'], 'hw_disk_bus': ['virtio', 'scsi'], 'hw_machine_type': ['q35', 'pc'],
    'trait:CUSTOM_A': ['required', 'forbidden'], 'trait:CUSTOM_B': ['required'], 'nonsense': ['x'],
    'vmware_adaptertype': ['ide', 'lsilogic'], 'hw_maxphysaddr_bits': ['40', '46'], 'img_version': [' 3'],
    'hw_numa_mem.0': ['512'], 'hw_numa_cpus.0': ['0-1,^1'], 'hw_boot_menu': ['on'], 'xenapi_use_agent': ['1']}
VERSIONS = [0, 2006000, 2011001, 4002000, 6002000, 8000000, 8000001, 7999999, 1, 16000000]


def pick(rng, *choices):
    return rng.choice(choices)


def requirement(rng, near=()):
    words = [str(word) for word in near] * 3 + WORDS + NUMBERS
    if chance(rng, 0.25):
        return rng.choice(words)
    operands = [rng.choice(words) for _ in range(pick(rng, 0, 1, 1, 1, 2, 3))]
    operator = rng.choice(OPERATORS)
    if operator == '<or>' and chance(rng, 0.7):
        return ' '.join('<or> ' + operand for operand in operands) or '<or>'
    return pick(rng, ' ', ' ', '  ', '\t').join([operator] + operands)


def sound_requirement(rng, near):
    """Mostly a number where a number is compared, so that decisions go on."""
    if chance(rng, 0.15):
        return requirement(rng, near)
    value = str(rng.choice(near)) if near else '4'
    return pick(rng, value, 's== ' + value, '<in> ' + value[:2], '<or> x <or> ' + value, 's!= x', '>= ' + value
                if value.replace('.', '', 1).isdigit() else 's>= ' + value)


def extra_specs(rng):
    specs = {}
    for _ in range(pick(rng, 0, 0, 1, 1, 2, 3)):
        kind = rng.random()
        if kind < 0.25:
            specs[pick(rng, '', 'capabilities:') + rng.choice(ATTRIBUTES)] = sound_requirement(
                rng, ['QEMU', 'host1', 8, 16, 4096, 0, 1.5, 8000000, '10.0.0.1', 1024])
        elif kind < 0.5:
            specs['capabilities:' + rng.choice(PATHS)] = sound_requirement(
                rng, ['x86_64', "['aes', 'avx']", 4, 'True', 2.5, 46, 5, 'aes', '{', '7'])
        elif kind < 0.85:
            specs[pick(rng, '', 'aggregate_instance_extra_specs:') + pick(rng, 'cpus', 'color', 'ssd', 'a:b')] = (
                sound_requirement(rng, [4, 8, 'red', 'true', '1']))
        elif kind < 0.95:
            specs['hw:maxphysaddr_bits'] = pick(rng, '40', '46', '47', 'abc')
        else:
            specs[pick(rng, 'trait:X', 'Capabilities:host', 'hw:cpu_policy', 'resources:VCPU', '')] = pick(rng, 'required', 'x')
    items = list(specs.items())
    rng.shuffle(items)
    return dict(items)


def properties(rng, most=4):
    names = rng.sample(sorted(PROPERTIES), rng.randint(0, most))
    return {name: rng.choice(PROPERTIES[name]) for name in names}


def metadata(rng):
    found = {}
    for _ in range(rng.randint(0, 4)):
        kind = rng.random()
        if kind < 0.2:
            found[pick(rng, 'cpus', 'color', 'ssd', 'a:b')] = pick(rng, '4', '8', ' 4 ,8.0', 'red', 'red,redblue', 'true', '')
        elif kind < 0.35:
            found[pick(rng, 'filter_tenant_id', 'filter_tenant_id2', 'filter_tenant')] = pick(
                rng, 'tenant-a', 'tenant-b', ' tenant-a , tenant-c', '')
        elif kind < 0.5:
            found['instance_type'] = pick(rng, 'm1.small', ' m1.small , m1.tiny', 'm1.large', '', 'M1.SMALL')
        elif kind < 0.65:
            found[pick(rng, 'max_io_ops_per_host', 'max_instances_per_host')] = rng.choice(NUMBERS + ['abc', '3', '10'])
        elif kind < 0.8:
            found[pick(rng, *MULTIPLIERS, 'metrics') + '_weight_multiplier'] = pick(
                rng, '2.0', '-1.0', '0', ' 2.5 ', '1e3', 'abc', '', '0.1', '3.7')
        elif kind < 0.9:
            name = rng.choice(sorted(PROPERTIES))
            found[name] = pick(rng, 'x86_64', 'True', '2', 'debian,ubuntu', "['CUSTOM_A']", 'linux', 'virtio', 'qemu', 'x')
        else:
            found[pick(rng, 'ns.os_distro', 'ns.x', 'os_distro', 'traits_required')] = pick(rng, 'debian', 'x')
    return found


def stats(rng):
    found = {}
    for name in ('num_instances', 'io_workload', 'failed_builds'):
        if chance(rng, 0.7):
            found[name] = pick(rng, *[str(number) for number in range(12)], ' 5 ', '+6', '1_0', '49', '50', '-1')
    if chance(rng, 0.2):
        found['cap'] = pick(rng, '{"a": {"b": 7}}', '5', '[1]', 'x')
    if chance(rng, 0.2):
        found[pick(rng, 'ssd', 'bad', 'color', 'cpus')] = pick(rng, 'true', None, '8', 'red')
    return found


def service(rng):
    found = {}
    if chance(rng, 0.1):
        found['disabled'] = True
        found['disabled_reason'] = pick(rng, None, 'maintenance')
    if chance(rng, 0.1):
        found['forced_down'] = True
    if chance(rng, 0.3):
        found['last_seen_up'] = pick(
            rng, '2026-05-31T23:59:00', '2026-05-31T23:58:59', '2026-06-01T00:01:00', '2026-06-01T00:01:00.5',
            '2026-05-31T23:59:00.000001', '2026-05-31T23:58:59.999999', '2026-05-31T23:59:55', '2020-02-29T12:00:00', None)
        if chance(rng, 0.5):
            found['created_at'] = '2025-01-01T00:00:00'
    return found


def metrics(rng):
    names = ['cpu.percent', 'cpu.user.percent', 'cpu.frequency', 'cpu.idle.time', 'numa.membw.max']
    found = []
    for name in rng.sample(names, rng.randint(0, 4)):
        value = (pick(rng, 0.57, 0.29, 1, 0, round(rng.random(), 3)) if name.endswith('percent')
                 else pick(rng, 1000, 2400.9, 7, 0, '12'))
        found.append({'name': name, 'value': value, 'timestamp': '2026-06-01T00:00:00', 'source': 'driver'})
    return found


def ratio(rng):
    return pick(rng, 1.0, 1.0, 1.5, 4.0, 16.0, None, 0.0, 1.1)


def host(rng, number, plain, name):
    made = {'host': name, 'node': name if chance(rng, 0.8) else 'node%d' % number, 'uuid': uuid(1, number),
            'service': {} if plain and chance(rng, 0.8) else service(rng), 'stats': stats(rng)}
    total = pick(rng, 4096, 16384, 65536)
    made.update(
        memory_mb=total, free_ram_mb=pick(rng, total, rng.randint(-512, total), rng.randint(0, 8) * 1024),
        memory_mb_used=rng.randint(0, total), local_gb=pick(rng, 50, 100), local_gb_used=rng.randint(0, 50),
        free_disk_gb=pick(rng, 0, 10, rng.randint(-5, 100)),
        disk_available_least=pick(rng, None, None, rng.randint(-5, 120)),
        vcpus=pick(rng, 4, 8, 16, 32), vcpus_used=pick(rng, 0, rng.randint(0, 32)),
        cpu_allocation_ratio=ratio(rng), ram_allocation_ratio=ratio(rng), disk_allocation_ratio=ratio(rng),
        hypervisor_version=rng.choice(VERSIONS), hypervisor_type=pick(rng, 'QEMU', 'QEMU', 'KVM', 'ironic'),
        host_ip=pick(rng, '10.0.0.%d' % (number + 1), '10.0.1.7', '192.168.0.1', 'fe80::%d' % number),
        supported_instances=rng.sample([['x86_64', 'kvm', 'hvm'], ['i686', 'qemu', 'hvm'], ['AMD64', 'xapi', 'pv'],
                                        ['aarch64', 'kvm', 'hvm'], ['x86_64', 'baremetal', 'hvm']], rng.randint(0, 3)))
    if chance(rng, 0.6):
        made['cpu_info'] = rng.choice(CPU_INFOS)
    if chance(rng, 0.3):
        made['cell_uuid'] = rng.choice(CELLS)
    if chance(rng, 0.5):
        made['metrics'] = metrics(rng)
    if chance(rng, 0.01):
        made['free_disk_gb'] = None
    made['instances'] = [{'uuid': uuid(3, rng.randint(0, 14)), 'image_properties': stored(rng)}
                         for _ in range(rng.randint(0, 4))]
    return made


def stored(rng):
    if chance(rng, 0.4):
        return {}
    found = {name: str(value) for name, value in properties(rng, 3).items()}
    if chance(rng, 0.2):
        found[pick(rng, 'min_ram', 'mappings', 'disk_format', 'img_mappings')] = '5'
    return found


def json_query(rng, depth=0):
    def term():
        kind = rng.random()
        if kind < 0.5:
            return '$' + pick(rng, 'free_ram_mb', 'vcpus_total', 'host', 'stats.num_instances', 'stats.missing', 'nosuch',
                              'cpu_allocation_ratio', 'service.disabled', 'hypervisor_type', 'num_io_ops', 'limits',
                              'supported_instances', 'service.host')
        return pick(rng, 0, 1, 4096, 8.5, True, False, None, '', 'QEMU', 'host1', '1', 1.0, 8, 5)
    if depth < 2 and chance(rng, 0.4):
        return [pick(rng, 'and', 'or', 'not')] + [json_query(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if chance(rng, 0.05):
        return pick(rng, [], '', 'x', '=', ['like', 1, 2], {'a': 1}, 5, [[]], None, True)
    operator = pick(rng, '=', '<', '>', '<=', '>=', 'in')
    if chance(rng, 0.7):
        name, value = pick(rng, ('$free_ram_mb', rng.randint(0, 8) * 1024), ('$vcpus_total', 8), ('$host', 'host1'),
                           ('$num_io_ops', 2.5), ('$hypervisor_type', 'QEMU'), ('$stats.num_instances', '5'))
        return [operator, name, value]
    return [operator] + [term() for _ in range(rng.randint(0, 4))]


def hints(rng):
    found = {}
    if chance(rng, 0.25):
        found[pick(rng, 'same_host', 'different_host')] = [uuid(3, rng.randint(0, 14)) for _ in range(pick(rng, 0, 1, 1, 2, 3))]
    if chance(rng, 0.25):
        found['query'] = [json.dumps(json_query(rng)) if chance(rng, 0.97) else pick(rng, 'not json', '[1', '')]
    if chance(rng, 0.2):
        found['build_near_host_ip'] = [pick(rng, '10.0.0.1', '10.0.1.1', '192.168.0.9', 'fe80::1', 'bad', '')]
        if chance(rng, 0.7):
            found['cidr'] = [pick(rng, '/24', '/23', '/0', '/32', '/64', '/255.255.0.0', '24', '/', '/33', '', '/0.0.255.255')]
    if chance(rng, 0.08):
        found['_nova_check_type'] = pick(rng, ['rebuild'], ['rebuild'], ['other'], [], ['rebuild', 'x'])
    return found


def group(rng, hosts):
    found = {'policy': pick(rng, 'affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity', 'anti-affinity', None),
             'members': [uuid(3, number) for number in rng.sample(range(15), rng.randint(0, 8))],
             'hosts': rng.sample([one['host'] for one in hosts], rng.randint(0, min(3, len(hosts))))}
    if chance(rng, 0.5):
        found['rules'] = {'max_server_per_host': pick(rng, '1', '2', '3', ' 2 ')}
    return found


def request(rng, hosts):
    made = {
        'instance_uuid': uuid(3, rng.randint(0, 20)), 'project_id': pick(rng, 'tenant-a', 'tenant-b', 'tenant-x'),
        'flavor': {'name': pick(rng, 'm1.small', 'm1.tiny', 'm1.large'), 'vcpus': pick(rng, 1, 2, 8),
                   'memory_mb': pick(rng, 512, 2048, 8192), 'root_gb': pick(rng, 0, 1, 20),
                   'ephemeral_gb': pick(rng, 0, 0, 5), 'swap': pick(rng, 0, 512), 'extra_specs': extra_specs(rng)},
        'image': {'id': uuid(4, rng.randint(1, 3)), 'disk_format': 'qcow2', 'properties': properties(rng)},
        'scheduler_hints': hints(rng)}
    if chance(rng, 0.05):
        made['image'] = pick(rng, None, {'properties': properties(rng)})
    if chance(rng, 0.35):
        made['instance_group'] = group(rng, hosts)
    names = [one['host'] for one in hosts]
    if chance(rng, 0.1):
        made['ignore_hosts'] = [pick(rng, str.upper, str)(name) for name in rng.sample(names, 1)] + ['nosuch']
    if chance(rng, 0.08):
        made['force_hosts'] = [pick(rng, str.upper, str)(name) for name in rng.sample(names, min(2, len(names)))]
    if chance(rng, 0.06):
        made['force_nodes'] = rng.sample([one['node'] for one in hosts], min(2, len(hosts)))
    if chance(rng, 0.15):
        made['requested_destination'] = destination(rng, hosts)
    return made


def destination(rng, hosts):
    made = {'allow_cross_cell_move': chance(rng, 0.6)}
    if chance(rng, 0.5):
        one = rng.choice(hosts)
        made.update(host=one['host'], node=pick(rng, None, one['node'], 'nosuch'))
    if chance(rng, 0.7):
        made['cell_uuid'] = pick(rng, None, *CELLS)
    return made


def config(rng):
    options = {}
    if chance(rng, 0.3):
        options['max_io_ops_per_host'] = pick(rng, 0, 1, 5, 10)
    if chance(rng, 0.3):
        options['max_instances_per_host'] = pick(rng, 1, 5, 10)
    if chance(rng, 0.3):
        options['isolated_images'] = [uuid(4, number) for number in rng.sample([1, 2, 3], rng.randint(0, 2))]
        options['isolated_hosts'] = ['host%d' % number for number in rng.sample(range(4), rng.randint(0, 3))]
        options['restrict_isolated_hosts_to_isolated_images'] = chance(rng, 0.7)
    if chance(rng, 0.15):
        options['image_properties_default_architecture'] = pick(rng, 'x86_64', 'aarch64', 'i686')
    if chance(rng, 0.1):
        options['aggregate_image_properties_isolation_namespace'] = pick(rng, 'ns', 'hw', 'os')
        options['aggregate_image_properties_isolation_separator'] = pick(rng, '.', '_')
    for name in rng.sample(MULTIPLIERS, rng.randint(0, 4)):
        values = [0.0, 0.1, 0.3, 1.0, 2.0, 3.7, 1e6]
        options[name + '_weight_multiplier'] = rng.choice(values if name in FROM_ZERO else values + [-1.0, -0.7])
    if chance(rng, 0.3):
        options['image_props_weight_multiplier'] = pick(rng, 1.0, -2.0, 0.5)
    if chance(rng, 0.2):
        options['image_props_weight_setting'] = pick(rng, ['os_distro=2', 'hw_disk_bus=-0.5'], ['os_type=1.5', 'bad', '=2'])
    found = {'filter_scheduler': options}
    if chance(rng, 0.15):
        found['DEFAULT'] = pick(rng, {'service_down_time': 30}, {'service_down_time': 10, 'report_interval': 25},
                                {'service_down_time': 3600}, {'initial_cpu_allocation_ratio': 2.5},
                                {'cpu_allocation_ratio': 3.0, 'initial_ram_allocation_ratio': 1.3},
                                {'disk_allocation_ratio': 0.0, 'default_availability_zone': 'other'})
    if chance(rng, 0.4):
        found['metrics'] = {
            'weight_setting': pick(rng, ['cpu.percent=1.0'], ['cpu.frequency=0.3', 'cpu.percent=-1'], ['bad', 'cpu.idle.time=2'],
                                   ['cpu.user.percent=0'], []),
            'required': chance(rng, 0.3), 'weight_multiplier': pick(rng, 1.0, 0.0, -1.5)}
    return found


def aggregates(rng, hosts):
    names = sorted({one['host'] for one in hosts})
    made = [{'id': number + 1, 'uuid': uuid(2, number), 'name': 'agg%d' % number,
             'hosts': rng.sample(names, rng.randint(0, len(names))), 'metadata': metadata(rng)}
            for number in range(rng.randint(0, 4))]
    for number, name in enumerate(names):
        if chance(rng, 0.2):
            made.append({'id': 100 + number, 'uuid': uuid(2, 100 + number), 'name': 'az-%s' % name, 'hosts': [name],
                         'metadata': {'availability_zone': pick(rng, 'az1', 'az2', ' az3 ')}})
    return made


def add_numa_and_devices(rng, made):
    """Cells, devices and allocation candidates as `numa_cases.py` makes them."""
    topology = numa_cases.numa_topology(rng) if chance(rng, 0.7) else None
    requests = numa_cases.pci_requests(rng) if chance(rng, 0.5) else []
    has_groups = chance(rng, 0.5)
    made['request']['numa_topology'] = topology
    made['request']['pci_requests'] = requests or None
    if chance(rng, 0.2):
        made['request']['network_metadata'] = numa_cases.network(rng)
    for number, one in enumerate(made['hosts']):
        cells = numa_cases.host_cells(rng, chance(rng, 0.8))
        one['numa_topology'] = {'cells': cells} if chance(rng, 0.95) else None
        one['pci_pools'] = numa_cases.pools(rng, number, cells) if chance(rng, 0.95) else None
        one['allocation_candidates'] = numa_cases.candidates(rng, number, one, requests, has_groups)
    if chance(rng, 0.3):
        made['config']['compute'] = {'packing_host_numa_cells_allocation_strategy': True}


def add_select(rng, made):
    count = pick(rng, 1, 1, 2, 3, 4)
    made['kind'] = 'select'
    made['request']['num_instances'] = count
    options = made['config'].setdefault('filter_scheduler', {})
    if chance(rng, 0.3):
        options['host_subset_size'] = pick(rng, 2, 3, 100)
    if chance(rng, 0.3):
        options['shuffle_best_same_weighed_hosts'] = True
    if chance(rng, 0.3):
        made['config']['scheduler'] = {'max_attempts': pick(rng, 1, 2, 5)}
    hosts = len(made['hosts'])
    made['select'] = {
        'instance_uuids': [uuid(5, number) for number in range(count)], 'return_alternates': chance(rng, 0.8),
        'claim_failures': [{'instance': rng.randrange(count), 'host': rng.randrange(hosts)}
                           for _ in range(pick(rng, 0, 0, 1, 3, 8))],
        'rng': {'choice': pick(rng, 'first', 'last'), 'shuffle': pick(rng, 'identity', 'reverse')}}
    if made['request'].get('instance_group') and 'filter_scheduler' in made['config']:
        # Nova stumbles over instances that it has just placed.
        made['config']['filter_scheduler'].pop('image_props_weight_multiplier', None)


def hosts_of(rng, count, plain):
    names = ['host%d' % number for number in range(count)]
    made, used = [], set()
    for number in range(count):
        one = host(rng, number, plain, names[number - 1] if number and chance(rng, 0.1) else names[number])
        if (one['host'], one['node']) in used:
            one['node'] = 'other%d' % number
        used.add((one['host'], one['node']))
        made.append(one)
    return made


def case(rng, number):
    kind = pick(rng, 'filter', 'filter', 'filter', 'filter', 'weigher', 'pipeline', 'pipeline', 'pipeline_ext', 'select',
                'select', 'select', 'preselect')
    hosts = hosts_of(rng, pick(rng, 1, 2, 3, 4, 5, 6, 8, 12), kind in ('pipeline', 'select', 'weigher'))
    made = {'schema': 'nova-sched-oracle/1', 'id': 'fuzz-%d' % number, 'kind': kind, 'now': '2026-06-01T00:00:00',
            'config': config(rng), 'aggregates': aggregates(rng, hosts), 'hosts': hosts, 'request': request(rng, hosts),
            'filters': [], 'weighers': []}
    if kind == 'filter':
        made['filters'] = [rng.choice(FILTERS)]
        focus(rng, made, made['filters'][0])
    elif kind == 'weigher':
        made['weighers'] = [rng.choice(WEIGHERS)]
    elif kind == 'pipeline_ext':
        made['filters'] = rng.sample(FILTERS, rng.randint(3, 12))
        made['weighers'] = rng.sample(WEIGHERS, len(WEIGHERS))
    elif kind != 'preselect':
        made['filters'] = DEFAULT_FILTERS + (rng.sample(FILTERS, rng.randint(0, 2)) if chance(rng, 0.4) else [])
        made['weighers'] = WEIGHERS
    made['filters'] = list(dict.fromkeys(made['filters']))
    if {'NUMATopologyFilter', 'PciPassthroughFilter'} & set(made['filters']) or chance(rng, 0.1):
        add_numa_and_devices(rng, made)
    if kind == 'select':
        add_select(rng, made)
    elif chance(rng, 0.1):
        made['index'] = 1
    return made


def focus(rng, made, name):
    """A request that the filter looks at."""
    asked = made['request']
    if name in ('SameHostFilter', 'DifferentHostFilter'):
        hint = 'same_host' if name == 'SameHostFilter' else 'different_host'
        asked['scheduler_hints'][hint] = [uuid(3, rng.randint(0, 14)) for _ in range(pick(rng, 1, 1, 2, 4))]
    elif name == 'JsonFilter':
        asked['scheduler_hints']['query'] = [json.dumps(json_query(rng))]
    elif name == 'SimpleCIDRAffinityFilter':
        asked['scheduler_hints']['build_near_host_ip'] = [pick(rng, '10.0.0.1', '10.0.1.1', '192.168.0.9', 'fe80::1')]
    elif name.startswith('ServerGroup'):
        asked['instance_group'] = group(rng, made['hosts'])


def ask(python, oracle, cases, environment=None):
    text = ''.join(json.dumps(one) + '\n' for one in cases)
    done = subprocess.run([python, oracle, '--jsonl'], input=text, capture_output=True, text=True, env=environment)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return answers, done.stderr


def records(python, oracle, cases, environment=None):
    """Cases that Nova can answer, with its answers. A case that breaks the oracle is left out."""
    found, rest = [], list(cases)
    while rest:
        answers, problem = ask(python, oracle, rest, environment)
        found += [{'id': one['id'], 'input': one, 'expected': answer} for one, answer in zip(rest, answers)]
        if len(answers) < len(rest):
            print('left out %s: %s' % (rest[len(answers)]['id'], problem.strip().splitlines()[-1:]), file=sys.stderr)
        rest = rest[len(answers) + 1:]
    return found


def interest(record):
    """Decisions that go far, and filters that distinguish hosts, show most."""
    expected, input_ = record['expected'], record['input']
    hosts = len(input_['hosts'])
    split = any(0 < len(one['pass']) < hosts for one in expected['independent'].values())
    select = expected.get('select') or {}
    return (bool(select.get('selections')) * 2 + split * 2 + (expected['error'] is not None) * 0.5
            + bool(expected.get('weighing')) - len(json.dumps(record)) / 40000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('oracle')
    parser.add_argument('out')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--cases', type=int, default=1000)
    parser.add_argument('--keep', type=int)
    parser.add_argument('--python', default=sys.executable)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    found = records(options.python, options.oracle, [case(rng, number) for number in range(options.cases)])
    if options.keep:
        found.sort(key=interest, reverse=True)
        found = found[:options.keep]
    with gzip.GzipFile(options.out, 'wb', mtime=0) as out:
        for record in found:
            out.write((json.dumps(record, ensure_ascii=False) + '\n').encode())
    print('%d cases' % len(found))


if __name__ == '__main__':
    main()
