#!/usr/bin/env python3
"""Asks the real Nova which Placement query it would send, for random requests or given ones.

    python3 -m venv v && v/bin/pip install nova==34.0.0
    v/bin/python placement_query.py generate COUNT SEED > cases.jsonl   # random cases
    v/bin/python placement_query.py ask < cases.jsonl > vectors.jsonl   # Nova's answers to them

Each answer is a line {"id", "input", "expected"}. Host aggregates live in an SQLite database that Nova queries itself;
compute nodes, the oldest compute version and Neutron are stubs that answer from the case.
"""

import copy
import json
import os
import random
import sys
from unittest import mock
from urllib import parse

os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', '1')


# ---------------------------------------------------------------- asking Nova

class Nova:
    def __init__(self):
        import logging
        import nova.conf
        from nova import context, objects
        from nova.db.api import api, models
        logging.disable(logging.CRITICAL)
        self.conf = nova.conf.CONF
        self.conf([], project='nova', version='query', default_config_files=[])
        self.conf.set_override('connection', 'sqlite://', group='api_database')
        objects.register_all()
        api.configure(self.conf)
        self.models, self.db = models, api
        models.BASE.metadata.create_all(api.get_engine())
        self.context = context.get_admin_context()
        self.objects = objects

    def answer(self, case):
        options = [(group, name, value) for group, named in case.get('config', {}).items()
                   for name, value in named.items()]
        for group, name, value in options:
            self.conf.set_override(name, value, group=None if group == 'DEFAULT' else group)
        try:
            self._load_aggregates(case.get('aggregates', []))
            return self._answer(case)
        finally:
            for group, name, _ in options:
                self.conf.clear_override(name, group=None if group == 'DEFAULT' else group)

    def _load_aggregates(self, aggregates):
        m = self.models
        with self.db.context_manager.writer.using(self.context) as session:
            session.query(m.AggregateMetadata).delete()
            session.query(m.Aggregate).delete()
            for number, aggregate in enumerate(aggregates, 1):
                session.add(m.Aggregate(id=number, uuid=aggregate['uuid'], name=aggregate['name']))
                for key, value in aggregate['metadata'].items():
                    session.add(m.AggregateMetadata(aggregate_id=number, key=key, value=value))

    def _answer(self, case):
        from nova.scheduler import request_filter, utils
        networks = case.get('networks') or []
        with mock.patch('nova.objects.service.get_minimum_version_all_cells',
                        return_value=case.get('min_compute_version', 73)), \
                mock.patch('nova.network.neutron.API', lambda: Neutron(networks)), \
                mock.patch('nova.scheduler.client.report.report_client_singleton'), \
                mock.patch.object(utils, 'get_aggregates_for_routed_network',
                                  lambda ctxt, net, report, ident: list(networks[int(ident)]['aggregates'])):
            try:
                spec = self._spec(case)
                request_filter.process_reqspec(self.context, spec)
                request = utils.resources_from_request_spec(self.context, spec, Computes(self.objects, case))
                text = request.to_querystring()
                out = {'error': None, 'querystring': text,
                       'params': [list(pair) for pair in parse.parse_qsl(text)],
                       'cpu_pinning_requested': request.cpu_pinning_requested}
                if request.cpu_pinning_requested and not self.conf.workarounds.disable_fallback_pcpu_query:
                    out['fallback_querystring'] = utils.resources_from_request_spec(
                        self.context, spec, Computes(self.objects, case),
                        enable_pinning_translate=False).to_querystring()
                out['destination'] = destination(spec)
                return out
            except Exception as e:
                return {'error': {'type': type(e).__name__, 'message': str(e)}}

    def _spec(self, case):
        o, r = self.objects, case['request']
        image = copy.deepcopy(r['image'])
        spec = o.RequestSpec(
            self.context, image=o.ImageMeta.from_dict(image), numa_topology=None, pci_requests=None,
            project_id=r['project_id'], user_id='user', availability_zone=r.get('availability_zone'),
            flavor=self._flavor(r['flavor']), num_instances=1, ignore_hosts=None,
            force_hosts=r.get('force_hosts'), force_nodes=r.get('force_nodes'),
            requested_destination=self._destination(r.get('requested_destination')), retry=None,
            instance_group=None, scheduler_hints=r.get('scheduler_hints', {}),
            instance_uuid=r['instance_uuid'], is_bfv=r.get('is_bfv', False),
            requested_resources=[self._group(g) for g in r.get('requested_resources', [])])
        level = r.get('request_level_params')
        if level is not None:
            spec.request_level_params = o.RequestLevelParams(
                root_required=set(level.get('root_required', [])),
                root_forbidden=set(level.get('root_forbidden', [])),
                same_subtree=level.get('same_subtree', []))
        if case.get('networks') is not None:
            spec.requested_networks = o.NetworkRequestList(objects=[
                o.NetworkRequest(port_id='00000000-0000-4000-8000-%012d' % n)
                for n, _ in enumerate(case['networks'])])
        if r.get('pci_requests') is not None:
            spec.pci_requests = o.InstancePCIRequests(
                instance_uuid=r['instance_uuid'],
                requests=[o.InstancePCIRequest(
                    count=p['count'], spec=p['spec'], alias_name=p.get('alias_name'),
                    request_id=p['request_id'], is_new=False) for p in r['pci_requests']])
        if r.get('generate_pci_groups'):
            spec.generate_request_groups_from_pci_requests()
        return spec

    def _flavor(self, f):
        return self.objects.Flavor(
            id=1, name=f['name'], flavorid=f['name'], memory_mb=f['memory_mb'], vcpus=f['vcpus'],
            root_gb=f['root_gb'], ephemeral_gb=f['ephemeral_gb'], swap=f['swap'], rxtx_factor=1.0,
            vcpu_weight=None, disabled=False, is_public=True, description=None, projects=[],
            extra_specs=dict(f['extra_specs']))

    def _destination(self, d):
        if d is None:
            return None
        found = self.objects.Destination()
        if 'host' in d:
            found.host, found.node = d['host'], d.get('node')
        if d.get('aggregates') is not None:
            found.aggregates = d['aggregates']
        if d.get('forbidden_aggregates') is not None:
            found.forbidden_aggregates = set(d['forbidden_aggregates'])
        return found

    def _group(self, g):
        return self.objects.RequestGroup(
            use_same_provider=True, requester_id=g['requester_id'], resources=dict(g.get('resources', {})),
            required_traits=set(g.get('required_traits', [])),
            forbidden_traits=set(g.get('forbidden_traits', [])), aggregates=g.get('aggregates', []),
            forbidden_aggregates=set(g.get('forbidden_aggregates', [])), in_tree=g.get('in_tree'))


class Neutron:
    """A port's network is named by the port's place in the case."""

    def __init__(self, networks):
        self.networks = networks

    def show_port(self, context, port):
        return {'port': {'fixed_ips': [], 'network_id': str(int(port[-12:]))}}

    def is_remote_managed_port(self, context, port):
        return self.networks[int(port[-12:])]['remote_managed']


class Computes:
    """Answers what Nova's HostManager would read from the cells."""

    def __init__(self, objects, case):
        self.objects, self.computes = objects, case.get('computes', [])

    def get_compute_nodes_by_host_or_node(self, ctxt, host, node, cell=None):
        found = [c for c in self.computes
                 if (not host or c['host'] == host) and (not node or c['node'] == node)]
        return [self.objects.ComputeNode(host=c['host'], hypervisor_hostname=c['node'], uuid=c['uuid'])
                for c in (found[:1] if node else found)]


def destination(spec):
    d = spec.requested_destination
    if d is None:
        return None
    aggregates = None if d.aggregates is None else [','.join(sorted(a.split(','))) for a in d.aggregates]
    return {'host': d.host if 'host' in d else None, 'node': d.node if 'node' in d else None,
            'aggregates': aggregates, 'forbidden_aggregates': sorted(d.forbidden_aggregates or [])}


# ---------------------------------------------------------------- random cases

SWITCHES = {
    ('scheduler', 'limit_tenants_to_placement_aggregate'): 0.3,
    ('scheduler', 'placement_aggregate_required_for_tenants'): 0.2,
    ('scheduler', 'query_placement_for_image_type_support'): 0.3,
    ('scheduler', 'enable_isolated_aggregate_filtering'): 0.4,
    ('scheduler', 'image_metadata_prefilter'): 0.4,
    ('scheduler', 'query_placement_for_routed_network_aggregates'): 0.4,
    ('workarounds', 'disable_fallback_pcpu_query'): 0.2,
}
CLASSES = ['VCPU', 'PCPU', 'MEMORY_MB', 'DISK_GB', 'VGPU', 'CUSTOM_GOLD', 'CUSTOM_', 'custom_gold', 'BOGUS', '',
           'VCPU:1', 'SRIOV_NET_VF', 'MEM_ENCRYPTION_CONTEXT']
AMOUNTS = ['0', '1', '2', '4', ' 7 ', '+3', '1_0', '1__0', '-1', '-0', 'abc', '', '1.5', '512', '007', '_1']
SUFFIXES = ['', '', '', '1', '2', '_foo', '-bar', 's', 'A' * 64, 'A' * 65, '!']
TRAITS = ['CUSTOM_A', 'CUSTOM_B', 'HW_CPU_HYPERTHREADING', 'HW_CPU_X86_AVX2', '']
BOOLS = ['true', 'false', 'True', ' YES ', 'on', '1', '0', 'n', 'maybe', '', 'T']
SPECS = {
    'group_policy': ['none', 'isolate', 'bad', ''],
    'accel:device_profile': ['dp1', ''],
    'hw:cpu_policy': ['dedicated', 'mixed', 'shared', 'dedicated', 'mixed', '', 'often'],
    'hw:cpu_thread_policy': ['prefer', 'isolate', 'require', '', 'never'],
    'hw:emulator_threads_policy': ['share', 'isolate', '', 'x'],
    'hw:cpu_dedicated_mask': ['0-1', '3', '^0', '0-1,^1', '^0-1', '^0,,^1', ' 0 , 2 ', 'x', '1-0', '^', '0-9999',
                              '^0,5-9', '', ' ', '0-3', '^0-3', '1-x', '-1', '2-3,^9-12', '0-1,1-2'],
    'hw:cpu_realtime': BOOLS,
    'hw:cpu_realtime_mask': ['^0', '0-1', '1', '', '^0-7', 'x', '0-7', '7-9'],
    'hw:sound_model': ['virtio', 'ich9', 'usb-audio', "it's", 'a\\b\n', 'é', ''],
    'hw:virtio_packed_ring': BOOLS,
    'hw:mem_encryption': BOOLS,
    'hw:mem_encryption_model': ['amd-sev', 'amd-sev-es', 'amd-sev-snp', 'intel-tdx', 'rot13', ''],
    'hw:ephemeral_encryption': BOOLS,
    'hw:ephemeral_encryption_format': ['luks', 'plain', 'luksv2', 'zip', ''],
    'hw:tpm_version': ['1.2', '2.0', '2.0', '3', ''],
    'hw:tpm_model': ['tpm-tis', 'tpm-crb', 'tpm-x', ''],
    'hw:tpm_secret_security': ['user', 'host', 'deployment', 'bogus', ''],
    'hw:pmem': ['6GB', '6GB,4GB,6GB', ' a b ,', ',', '', 'ä,a'],
    'hw:pci_numa_affinity_policy': ['required', 'legacy', 'preferred', 'socket', 'socket', 'far', ''],
    'os:secure_boot': ['required', 'optional', 'disabled', 'required', 'sure', ''],
    'hw:maxphysaddr_mode': ['passthrough', 'emulate', 'virtual', ''],
    'hw:maxphysaddr_bits': ['42'],
    'hw:cpu_sockets': ['2'],
}
PROPERTIES = {
    'hw_cpu_policy': ['dedicated', 'shared', 'mixed'],
    'hw_cpu_thread_policy': ['prefer', 'isolate', 'require'],
    'hw_cpu_realtime_mask': ['^0', '0-1', '1'],
    'hw_sound_model': ['virtio', 'ich9'],
    'hw_virtio_packed_ring': BOOLS,
    'hw_mem_encryption': BOOLS,
    'hw_mem_encryption_model': ['amd-sev', 'amd-sev-es', 'amd-sev-snp', 'intel-tdx'],
    'hw_ephemeral_encryption': BOOLS,
    'hw_ephemeral_encryption_format': ['luks', 'plain'],
    'hw_tpm_version': ['1.2', '2.0'],
    'hw_tpm_model': ['tpm-tis', 'tpm-crb'],
    'hw_pci_numa_affinity_policy': ['socket', 'required'],
    'os_secure_boot': ['required', 'disabled'],
    'hw_maxphysaddr_mode': ['passthrough', 'emulate'],
    'hw_firmware_type': ['uefi', 'bios', 'uefi', 'uefi'],
    'hw_firmware_stateless': BOOLS,
    'hw_machine_type': ['q35', 'pc', 'pc-q35-2.11'],
    'hw_video_model': ['none', 'vga', 'virtio', 'xen', 'gop', 'none'],
    'hw_disk_bus': ['virtio', 'scsi', 'sata', 'lxc'],
    'hw_cdrom_bus': ['sata', 'ide'],
    'hw_vif_model': ['virtio', 'e1000', 'spapr-vlan', 'ne2k_pci', 'VirtualE1000', 'VirtualE1000e', 'VirtualPCNet32',
                     'VirtualSriovEthernetCard', 'VirtualVmxnet', 'virtualvmxnet3', 'VIRTIO'],
    'hw_architecture': ['x86_64', 'aarch64', 'amd64', 'i386'],
    'architecture': ['x86_64'],
    'hw_emulation_architecture': ['aarch64', 's390x', 'i686'],
    'hw_viommu_model': ['intel', 'virtio', 'auto', 'smmuv3'],
    'trait:CUSTOM_IMG': ['required', 'forbidden'],
    'trait:HW_CPU_X86_AVX2': ['required'],
}
METADATA = [('availability_zone', ['az1', 'az2', 'AZ1']), ('filter_tenant_id', ['tenant-a', 'tenant-b']),
            ('filter_tenant_id2', ['tenant-a', 'tenant-c']), ('owner', ['tenant-a', 'tenant-c']),
            ('trait:HW_CPU_X86_AVX2', ['required', 'forbidden']), ('trait:CUSTOM_A', ['required']),
            ('Trait:CUSTOM_B', ['required', 'Required']), ('traitless', ['required'])]


def uuid(kind, number):
    return '%d0000000-0000-4000-8000-%012d' % (kind, number)


def some(rng, table, count):
    return {key: rng.choice(table[key]) for key in rng.sample(sorted(table), min(count, len(table)))}


def extra_specs(rng):
    found = some(rng, SPECS, rng.choice([0, 0, 1, 2, 3, 4, 6]))
    if rng.random() < 0.2:
        found.update(some(rng, {key: values for key, values in SPECS.items() if key.startswith('hw:cpu_')}, 4))
        found['hw:cpu_policy'] = rng.choice(['dedicated', 'mixed', 'mixed'])
    for _ in range(rng.choice([0, 0, 1, 2, 4])):
        found['resources%s:%s' % (rng.choice(SUFFIXES), rng.choice(CLASSES))] = rng.choice(AMOUNTS)
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        found['trait%s:%s' % (rng.choice(SUFFIXES), rng.choice(TRAITS))] = rng.choice(
            ['required', 'required', 'forbidden', 'maybe', ''])
    return dict(sorted(found.items()))


def requested_group(rng, number):
    ident = rng.choice(['port-%d' % number, 'port-0', uuid(9, number), '1', '', 'a b&c=%+/é'])
    group = {'requester_id': ident or ('' if rng.random() < 0.3 else 'x')}
    if rng.random() < 0.9:
        group['resources'] = {rng.choice(['NET_BW_EGR_KILOBIT_PER_SEC', 'VGPU', 'CUSTOM_X', 'VCPU']): rng.choice(
            [0, 1, 1, 1000]) for _ in range(rng.choice([1, 1, 2]))}
    if rng.random() < 0.5:
        group['required_traits'] = rng.sample(TRAITS[:4], 2)
    if rng.random() < 0.3:
        group['forbidden_traits'] = rng.sample(TRAITS[:4], 1)
    if rng.random() < 0.2:
        group['aggregates'] = [[uuid(2, 2), uuid(2, 1)], [uuid(2, 3)]]
    if rng.random() < 0.2:
        group['forbidden_aggregates'] = [uuid(2, 9), uuid(2, 8)]
    if rng.random() < 0.2:
        group['in_tree'] = uuid(1, 2)
    return group


def pci_request(rng, number):
    spec = rng.choice([
        {'vendor_id': '8086', 'product_id': '1515'}, {'vendor_id': '10de', 'product_id': '1DB4'},
        {'resource_class': 'gpu', 'traits': 'big,custom_small'}, {'resource_class': 'VGPU', 'traits': ''},
        {'resource_class': 'CUSTOM_GPU', 'vendor_id': '10de', 'product_id': '1db4', 'traits': 'HW_GPU_API_VULKAN, x'},
        {'resource_class': 'my-Gpu!', 'traits': 'hw_cpu_x86_avx2,HW_CPU_X86_AVX2,a--b'}])
    return {'request_id': uuid(8, number), 'count': rng.choice([1, 1, 2, 3]),
            'alias_name': rng.choice(['a', 'a', None]), 'spec': [spec] * rng.choice([1] * 20 + [2])}


def request(rng, number):
    image = {'id': uuid(4, rng.randrange(5)), 'container_format': 'bare', 'min_disk': 0, 'min_ram': 0,
             'disk_format': rng.choice(['qcow2', 'raw', 'iso', 'ploop', 'weird', 'vhdx']),
             'name': 'image', 'properties': some(rng, PROPERTIES, rng.choice([0, 0, 1, 2, 4, 8]))}
    if rng.random() < 0.1:
        del image['id']
    r = {'project_id': 'tenant-' + rng.choice('abc'), 'instance_uuid': uuid(3, number), 'image': image,
         'flavor': {'name': 'm1', 'vcpus': rng.choice([1, 2, 4, 4, 8]), 'memory_mb': rng.choice([0, 512, 2048]),
                    'root_gb': rng.choice([0, 1, 20]), 'ephemeral_gb': rng.choice([0, 0, 10]),
                    'swap': rng.choice([0, 0, 512, 1024, 1025]), 'extra_specs': extra_specs(rng)}}
    optional = {
        'availability_zone': (0.4, lambda: rng.choice(['az1', 'az2', 'none', ''])),
        'is_bfv': (0.2, lambda: True),
        'force_hosts': (0.12, lambda: [rng.choice(['h1', 'h2', 'nosuch'])]),
        'force_nodes': (0.08, lambda: [rng.choice(['n1', 'bm1', 'bm2', 'nosuch'])]),
        'scheduler_hints': (0.2, lambda: {rng.choice(['group', 'same_host', 'different_host', 'query', 'x']): []}),
        'requested_resources': (0.25, lambda: [requested_group(rng, n) for n in range(rng.choice([1, 1, 2, 3]))]),
        'requested_destination': (0.15, lambda: requested_destination(rng)),
        'request_level_params': (0.15, lambda: {
            'root_required': rng.sample(TRAITS[:4] + ['OWNER_NOVA'], rng.randrange(3)),
            'root_forbidden': rng.sample(TRAITS[:4], rng.randrange(2)),
            'same_subtree': rng.choice([[], [['port-1', 'port-0']], [['1', '2'], ['b', 'a']]])}),
    }
    r.update({key: make() for key, (chance, make) in optional.items() if rng.random() < chance})
    return r


def requested_destination(rng):
    d = {}
    if rng.random() < 0.7:
        d.update(host=rng.choice(['h1', 'h2', 'nosuch']), node=rng.choice([None, None, 'n1', 'bm1']))
    if rng.random() < 0.3:
        d['aggregates'] = [uuid(2, 3) + ',' + uuid(2, 1), uuid(2, 2)]
    if rng.random() < 0.3:
        d['forbidden_aggregates'] = [uuid(2, 7)]
    return d


def case(rng, number):
    config = {}
    for (group, option), chance in SWITCHES.items():
        if rng.random() < chance:
            config.setdefault(group, {})[option] = True
    if rng.random() < 0.2:
        config.setdefault('scheduler', {})['max_placement_results'] = rng.choice([1, 10, 5000])
    found = {
        'id': 'fuzz-%d' % number, 'schema': 'nova-sched-placement/1', 'config': config, 'min_compute_version': rng.choice([72, 73, 73, 74]),
        'aggregates': [{'name': 'agg%d' % n, 'uuid': uuid(2, n), 'metadata': dict(
            (key, rng.choice(values)) for key, values in rng.sample(METADATA, rng.randrange(4)))}
            for n in range(1, 1 + rng.randrange(5))],
        'computes': [{'host': 'h1', 'node': 'n1', 'uuid': uuid(1, 1)}, {'host': 'h2', 'node': 'bm1', 'uuid': uuid(1, 2)},
                     {'host': 'h2', 'node': 'bm2', 'uuid': uuid(1, 3)}],
        'request': request(rng, number)}
    if rng.random() < 0.2:
        found['networks'] = [{'aggregates': [uuid(5, n) for n in rng.sample(range(3), rng.randrange(3))],
                              'remote_managed': rng.random() < 0.3} for _ in range(rng.randrange(3))]
    if rng.random() < 0.2:
        config.setdefault('filter_scheduler', {})['pci_in_placement'] = rng.random() < 0.8
        found['request'].update(generate_pci_groups=True, pci_requests=[
            pci_request(rng, n) for n in range(rng.choice([1, 1, 2]))])
    return found


def main():
    if sys.argv[1] == 'generate':
        rng = random.Random(int(sys.argv[3]))
        for number in range(int(sys.argv[2])):
            print(json.dumps(case(rng, number), sort_keys=True))
    elif sys.argv[1] == 'ask':
        nova = Nova()
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps({'id': asked['id'], 'input': asked, 'expected': nova.answer(asked)}, sort_keys=True))


if __name__ == '__main__':
    main()
