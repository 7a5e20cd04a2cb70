"""Random requests that often succeed: what they need is read before they are sent."""
import json
import random

CLASSES = ['VCPU', 'MEMORY_MB', 'DISK_GB', 'CUSTOM_A', 'CUSTOM_B']
TRAITS = ['HW_CPU_X86_AVX', 'CUSTOM_X', 'CUSTOM_Y', 'MISC_SHARES_VIA_AGGREGATE']
VERSIONS = [0, 1, 4, 7, 8, 11, 12, 13, 14, 17, 18, 19, 22, 24, 26, 27, 28, 29, 31, 33, 34, 36, 37, 38, 39]
TYPES = ['INSTANCE', 'MIGRATION']


def uuids(kind, count):
    return ['%s0000000-0000-4000-8000-%012d' % (kind, n) for n in range(count)]


PROVIDERS, CONSUMERS, AGGREGATES = uuids('a', 7), uuids('c', 8), uuids('e', 2)

# What is no JSON, or JSON of another kind.
RUBBISH = [b'', b'{', b'[]', b'{}', b'null', b'7', b'"pony"', b'{"a": }', b'\xff\xfe', b'[' * 20, b'{"name": "\xff"}']

# Parameters that are wrong in one way or another; and some that are not.
PARAMETERS = ['pony=1', 'name', 'uuid=pony', 'in_tree=pony', 'member_of=pony', 'member_of=in:', 'member_of=!',
              'required=', 'required=!', 'required=,', 'required=in:CUSTOM_X,!CUSTOM_Y', 'required=in:',
              'required=CUSTOM_NONE', 'required=!CUSTOM_X&required=CUSTOM_X', 'resources=', 'resources=VCPU',
              'resources=VCPU:0', 'resources=VCPU:-1', 'resources=VCPU:1:2', 'resources=PONY:1', 'resources=VCPU:x',
              'limit=0', 'limit=x', 'limit=-1', 'limit=1000000', 'group_policy=pony', 'resources1=VCPU:1&resources2=VCPU:1',
              'same_subtree=1', 'same_subtree=', 'root_required=', 'root_required=CUSTOM_X&root_required=CUSTOM_X',
              'resources=VCPU:1;limit=1', 'name=p1;uuid=pony', 'associated=true;name=startswith:CUSTOM', ';', 'name=startswith:custom_',
              'name=startswith:HW_CPU_X86%25512V', 'name=startswith:hw-', 'name=in:custom_x', 'name=startswith:C_STOM%25X',
              'resources_A=VCPU:1', 'required1=CUSTOM_X', 'member_of2=in:', 'resources%21=VCPU:1', 'name=%e2%98%83']


# Spellings of a UUID.
SPELLINGS = [str.upper, lambda uuid: uuid.replace('-', ''), '{{{}}}'.format, 'urn:uuid:{}'.format]

# Headers that are read in more than one way.
ACCEPTS = ['*', 'pony', 'application/json;q=0', 'application/json;q=2', 'application/json ; q=0.5', 'application/json;version=1',
           'text/html', 'text/html;q=0.1, application/json;q=0.2', 'application/*', '*/*;q=0, application/json', 'application/json,', '',
           'text/plain', '"', 'application/json;Q=0.000', 'application/json;q=0.1234', '*/json', 'application/json;q', 'a/b;c="d,e", */*']
CONTENT_TYPES = ['application/json ;', 'application/json;', 'application/json;charset=utf-8', 'APPLICATION/JSON', 'text/plain',
                 'application/json, text/plain', 'application/json;charset', 'application/json \t; a=b']


class Requests:
    def __init__(self, seed, ask):
        """`ask` gets the JSON at a path, or {}."""
        self.random, self.ask = random.Random(seed), ask
        self.consumers, self.retired = list(CONSUMERS), 0
        self.kinds, self.weights = zip(*[
            (self.provider, 9), (self.inventories, 10), (self.inventory, 6), (self.traits, 4), (self.aggregates, 3),
            (self.allocations, 9), (self.claim, 8), (self.many_allocations, 6), (self.release, 3), (self.reshape, 4),
            (self.names, 5), (self.candidates, 8), (self.limited, 2), (self.providers, 4), (self.show, 8),
            (self.usages, 2), (self.lists, 1), (self.rubbish, 2), (self.spelled, 3)])

    def retire(self, body):
        """A request that is refused can leave an empty consumer behind in the original: it is not asked for again."""
        for place, consumer in enumerate(self.consumers):
            if consumer in json.dumps(body):
                self.retired += 1
                self.consumers[place] = 'd0000000-0000-4000-8000-%012d' % self.retired

    def headers(self):
        """Headers that a request has instead of the usual ones."""
        kind, values = self.one([('Accept', ACCEPTS), ('Content-Type', CONTENT_TYPES)])
        return {} if self.often(0.95) else {kind: self.one(values)}

    def next(self):
        """(method, path, body, minor)"""
        minor = self.one(VERSIONS) if self.often(0.6) else 39
        method, path, body = self.random.choices(self.kinds, self.weights)[0](minor)
        if body is not None and not isinstance(body, bytes) and self.often(0.05):
            body = self.spoil(body)
        return method, path, body, minor

    def start(self):
        """The first requests: a small fleet of trees."""
        for name in CLASSES[3:]:
            yield 'PUT', '/resource_classes/' + name, None, 39
        for name in TRAITS[1:3]:
            yield 'PUT', '/traits/' + name, None, 39
        for number, uuid in enumerate(PROVIDERS):
            parent = None if number % 3 == 0 else PROVIDERS[number - number % 3]
            yield 'POST', '/resource_providers', {'name': 'p%d' % number, 'uuid': uuid, 'parent_provider_uuid': parent}, 39
            yield 'PUT', '/resource_providers/%s/inventories' % uuid, {
                'resource_provider_generation': 0, 'inventories': {rc: {'total': 100} for rc in self.some(CLASSES, 2)}}, 39

    # Providers and what they have.

    def provider(self, minor):
        uuid = self.one(PROVIDERS)
        name = self.one(['p', 'p', 'p', 'q']) + str(PROVIDERS.index(uuid))
        parent = {} if minor < 14 or self.often(0.3) else {'parent_provider_uuid': self.one(PROVIDERS + [None])}
        method = self.random.choices(['POST', 'PUT', 'DELETE'], [6, 4, 1])[0]
        if method == 'POST':
            return method, '/resource_providers', dict(name=name, uuid=uuid, **parent)
        return method, '/resource_providers/' + uuid, dict(name=name, **parent) if method == 'PUT' else None

    def inventories(self, minor):
        provider = self.one(PROVIDERS)
        path = '/resource_providers/%s/inventories' % provider
        if self.often(0.05):
            return 'DELETE', path, None
        return 'PUT', path, {'resource_provider_generation': self.generation(provider),
                             'inventories': {rc: self.record() for rc in self.some(CLASSES, 1)}}

    def inventory(self, minor):
        provider, rc = self.one(PROVIDERS), self.one(CLASSES)
        path = '/resource_providers/%s/inventories' % provider
        method = self.random.choices(['POST', 'PUT', 'DELETE'], [3, 2, 1])[0]
        if method == 'POST':
            return method, path, dict(self.record(), resource_class=rc)
        body = dict(self.record(), resource_provider_generation=self.generation(provider))
        return method, '%s/%s' % (path, rc), body if method == 'PUT' else None

    def traits(self, minor):
        provider = self.one(PROVIDERS)
        path = '/resource_providers/%s/traits' % provider
        if self.often(0.2):
            return 'DELETE', path, None
        return 'PUT', path, {'traits': self.some(TRAITS), 'resource_provider_generation': self.generation(provider)}

    def aggregates(self, minor):
        provider, aggregates = self.one(PROVIDERS), self.some(AGGREGATES)
        body = aggregates if minor < 19 else {
            'aggregates': aggregates, 'resource_provider_generation': self.generation(provider)}
        return 'PUT', '/resource_providers/%s/aggregates' % provider, body

    # What consumers hold.

    def allocations(self, minor):
        consumer = self.one(self.consumers)
        return 'PUT', '/allocations/' + consumer, self.consumer_body(minor, consumer, minor >= 28)

    def claim(self, minor):
        """What a scheduler does: it takes one of the candidates."""
        consumer = self.one(self.consumers)
        found = self.ask('/allocation_candidates?' + self.query_for_candidates(39)).get('allocation_requests')
        if not found:
            return self.allocations(minor)
        body = self.consumer_body(minor, consumer)
        allocations = {p: {'resources': each['resources']} for p, each in self.one(found)['allocations'].items()}
        body['allocations'] = allocations if minor >= 12 else [
            {'resource_provider': {'uuid': p}, 'resources': each['resources']} for p, each in allocations.items()]
        if minor >= 34 and self.often(0.3):
            body['mappings'] = {'': list(allocations)}
        return 'PUT', '/allocations/' + consumer, body

    def many_allocations(self, minor):
        return 'POST', '/allocations', {
            each: self.consumer_body(max(minor, 12), each) for each in self.some(self.consumers, 1)}

    def release(self, minor):
        consumer = self.one(self.consumers)
        if minor < 28 or self.often(0.5):
            return 'DELETE', '/allocations/' + consumer, None
        return 'PUT', '/allocations/' + consumer, dict(self.consumer_body(minor, consumer), allocations={})

    def reshape(self, minor):
        """Inventories move from some providers to others, and with them what consumers hold."""
        providers = self.some(PROVIDERS, 1)
        inventories = {each: {'resource_provider_generation': self.generation(each),
                              'inventories': {rc: self.record(sound=True) for rc in self.some(CLASSES)}}
                       for each in providers}
        allocations = {each: self.consumer_body(max(minor, 28), each) for each in self.some(self.consumers)}
        if self.often(0.6):
            for body in allocations.values():
                offered = [(p, rc) for p, part in inventories.items() for rc in part['inventories']]
                body['allocations'] = {p: {'resources': {rc: self.one([1, 2])}} for p, rc in offered[:2]}
        return 'POST', '/reshaper', {'inventories': inventories, 'allocations': allocations}

    def consumer_body(self, minor, consumer, may_be_empty=True):
        providers = self.some(PROVIDERS, 0 if may_be_empty and self.often(0.2) else 1)[:self.one([1, 1, 3])]
        if minor < 12:
            body = {'allocations': [{'resource_provider': {'uuid': p}, 'resources': self.resources(p)} for p in providers]}
        else:
            body = {'allocations': {p: {'resources': self.resources(p)} for p in providers}}
        if minor >= 8:
            body.update(project_id=self.one(['p1', 'p2']), user_id=self.one(['u1', 'u2']))
        if minor >= 28:
            body['consumer_generation'] = self.consumer_generation(consumer)
        if minor >= 38:
            body['consumer_type'] = self.one(TYPES)
        return body

    # Names.

    def names(self, minor):
        method, kind = self.one(['PUT', 'DELETE', 'GET', 'POST']), self.one(['traits', 'resource_classes'])
        known = TRAITS + ['CUSTOM_Z', 'bad'] if kind == 'traits' else CLASSES + ['CUSTOM_C', 'x']
        path = '/%s/%s' % (kind, self.one(known))
        if kind == 'traits':
            return self.one(['PUT', 'DELETE', 'GET']), path, None
        if method == 'POST':
            return method, '/resource_classes', {'name': self.one(known)}
        # Until 1.6, PUT renames.
        body = {'name': self.one(['CUSTOM_C', 'CUSTOM_D'])} if method == 'PUT' and minor < 7 else None
        return method, path, body

    # Questions.

    def candidates(self, minor):
        return 'GET', '/allocation_candidates?' + self.query_for_candidates(minor), None

    def limited(self, minor):
        return 'GET', '/allocation_candidates?%s&limit=%d' % (self.query_for_candidates(minor), self.one([1, 2, 5])), None

    def providers(self, minor):
        names = ['name', 'uuid', 'in_tree', 'member_of', 'required', 'resources']
        return 'GET', '/resource_providers?' + self.query(names), None

    def show(self, minor):
        if self.often(0.3):
            return 'GET', '/allocations/' + self.one(self.consumers), None
        parts = ['', '/inventories', '/usages', '/aggregates', '/allocations', '/traits', '/inventories/VCPU']
        return 'GET', '/resource_providers/' + self.one(PROVIDERS) + self.one(parts), None

    def usages(self, minor):
        return 'GET', '/usages?project_id=' + self.one(
            ['p1', 'p2&user_id=u1', 'p1&consumer_type=all', 'p1&consumer_type=unknown', 'p2&consumer_type=INSTANCE',
             '', 'p1&pony=1', 'p1&consumer_type=pony']), None

    def lists(self, minor):
        return 'GET', self.one(['/', '/traits?name=startswith:CUSTOM', '/traits?associated=true', '/resource_classes',
                                '/nothing', '/traits?associated=maybe', '/traits?name=in:CUSTOM_X,CUSTOM_Y',
                                '/traits?name=pony', '/resource_providers/', '/traits/CUSTOM_X/y']), None

    def spelled(self, minor):
        """A question or a write in which a UUID or a path is spelled in another way."""
        spell = self.one(SPELLINGS)
        provider, consumer, aggregate = self.one(PROVIDERS), self.one(self.consumers), self.one(AGGREGATES)
        kind = self.one(['path', 'encoded', 'query', 'candidates', 'read', 'list', 'name'])
        if kind == 'path':
            return 'GET', '/resource_providers/%s%s' % (spell(provider), self.one(['', '/inventories', '/usages'])), None
        if kind == 'encoded':
            path = self.one(['/resource_providers/' + provider, '/traits', '/resource_classes/VCPU', '/allocations/' + consumer])
            place = self.random.randrange(1, len(path))
            return 'GET', '%s%%%02x%s' % (path[:place], ord(path[place]), path[place + 1:]), None
        if kind == 'query':
            return 'GET', '/resource_providers?' + self.one(['uuid=', 'in_tree=']) + spell(provider), None
        if kind == 'candidates':
            more = self.one(['in_tree=' + spell(provider), 'member_of=' + spell(aggregate)])
            return 'GET', '/allocation_candidates?resources=VCPU:1&' + more, None
        if kind == 'read':
            return 'GET', '/allocations/' + spell(consumer), None
        if kind == 'list' and minor < 12:
            twice = [provider, self.one(PROVIDERS), provider]
            body = {'allocations': [{'resource_provider': {'uuid': p}, 'resources': self.resources(p)} for p in twice]}
            if minor >= 8:
                body.update(project_id='p1', user_id='u1')
            return 'PUT', '/allocations/' + spell(consumer), body
        name = {'name': self.one(['p1', 'p2']), 'parent_provider_uuid': self.one(PROVIDERS + ['d' + PROVIDERS[0][1:]])}
        return 'PUT', '/resource_providers/' + provider, name

    def rubbish(self, minor):
        provider = '/resource_providers/' + self.one(PROVIDERS)
        if self.often(0.5):
            paths = ['/resource_providers', '/allocation_candidates', '/usages', '/traits']
            return 'GET', '%s?%s' % (self.one(paths), '&'.join(self.some(PARAMETERS, 1))), None
        method, path = self.one([
            ('POST', '/resource_providers'), ('PUT', provider), ('PUT', provider + '/inventories'),
            ('PUT', provider + '/inventories/VCPU'), ('POST', provider + '/inventories'), ('PUT', provider + '/traits'),
            ('PUT', provider + '/aggregates'), ('PUT', '/allocations/' + self.one(self.consumers)),
            ('POST', '/allocations'), ('POST', '/reshaper'), ('POST', '/resource_classes')])
        return method, path, self.one(RUBBISH)

    # Parts of requests.

    def some(self, values, least=0):
        return self.random.sample(values, self.random.randint(least, min(3, len(values))))

    def one(self, values):
        return self.random.choice(values)

    def often(self, chance=0.9):
        return self.random.random() < chance

    def generation(self, provider):
        found = self.ask('/resource_providers/' + provider)
        return found.get('generation', 0) + (0 if self.often() else 1)

    def consumer_generation(self, consumer):
        found = self.ask('/allocations/' + consumer).get('consumer_generation')
        return found if self.often() else self.one([None, 1, 2])

    def record(self, sound=False):
        """An inventory; with `sound`, no more is reserved than there is: the original takes even that when it reshapes."""
        record = {'total': self.one([10, 100, 100] if sound else [1, 4, 10, 100, 100, 100])}
        for name, values in (('reserved', [0, 1, 4, 10]), ('min_unit', [1, 2]), ('max_unit', [1, 4, 100]),
                             ('step_size', [1, 2, 3]), ('allocation_ratio', [0.5, 1.0, 1.5, 2, 16.0])):
            if self.often(0.2):
                record[name] = self.one(values)
        return record

    def resources(self, provider):
        """Amounts, most often of what the provider has."""
        has = self.ask('/resource_providers/%s/inventories' % provider).get('inventories')
        if not has or not self.often(0.8):
            return {rc: self.one([1, 2, 3, 4, 8]) for rc in self.some(CLASSES, 1)}
        units = {rc: record['min_unit'] * record['step_size'] for rc, record in has.items()}
        return {rc: units[rc] * self.one([1, 1, 2, 3]) for rc in self.some(sorted(has), 1)}

    def asked(self):
        return ','.join('%s:%d' % (rc, self.one([1, 2, 2, 4, 6])) for rc in self.some(CLASSES, 1)[:self.one([1, 2, 3])])

    def query(self, names):
        makers = {
            'name': lambda: self.one(['p0', 'p1', 'q2']), 'uuid': lambda: self.one(PROVIDERS),
            'in_tree': lambda: self.one(PROVIDERS),
            'member_of': lambda: self.one(['', '', '!', 'in:']) + self.one(AGGREGATES),
            'required': lambda: self.one(['', '', '!', 'in:']) + self.one(TRAITS),
            'resources': self.asked,
        }
        return '&'.join('%s=%s' % (name, makers[name]()) for name in names if self.often(0.35))

    def query_for_candidates(self, minor):
        parts = [self.query(['member_of', 'in_tree', 'required']) if self.often(0.5) else '']
        if minor < 25 or self.often(0.8):
            parts.append('resources=' + self.asked())
        suffixes = self.some(['1', '2', '3'] if minor < 33 else ['1', '2', '_A', '-b'])[:self.one([0, 1, 2, 3])]
        for suffix in suffixes if minor >= 25 else []:
            parts.append('resources%s=%s' % (suffix, self.asked()))
            if self.often(0.3):
                parts.append('required%s=%s' % (suffix, self.one(['', '', '!']) + self.one(TRAITS)))
            if self.often(0.1):
                parts.append('member_of%s=%s' % (suffix, self.one(AGGREGATES)))
            if minor >= 31 and self.often(0.1):
                parts.append('in_tree%s=%s' % (suffix, self.one(PROVIDERS)))
        if minor >= 25:
            parts.append('group_policy=' + self.one(['none', 'isolate']))
        if minor >= 35 and self.often(0.2):
            parts.append('root_required=' + self.one(['', '!']) + self.one(TRAITS))
        if minor >= 36 and suffixes and self.often(0.3):
            parts.append('same_subtree=' + ','.join(suffixes))
        return '&'.join(part for part in parts if part)

    def spoil(self, body):
        """Something that the schema may not like."""
        if isinstance(body, list) or not body:
            return self.one([{}, ['pony'], 7])
        body = dict(body)
        member = self.one(sorted(set(body) - {'uuid'}))  # both would make up their own
        how = self.one(['drop', 'type', 'more'])
        if how == 'drop':
            del body[member]
        elif how == 'type':
            body[member] = self.one([7, 'pony', None, [], {}, -1])
        else:
            body['pony'] = 1
        return body
