//! What the parsers read, as it should be: where mutations and fuzzers begin.

pub(crate) const QUERIES: [&[u8]; 6] = [
    b"\x27\x00resources=VCPU:1,DISK_GB:2&required=HW_CPU_X86_AVX,!CUSTOM_A&member_of=in:e0000000-0000-4000-8000-000000000000",
    b"\x27\x00resources1=VCPU:1&resources_A=DISK_GB:1&group_policy=isolate&same_subtree=1,_A&limit=5",
    b"\x27\x00resources=VCPU:1&root_required=HW_CPU_X86_AVX&in_tree=a0000000-0000-4000-8000-000000000000&required=in:HW_CPU_X86_AVX",
    b"\x18\x01name=p&uuid=a0000000-0000-4000-8000-000000000000&resources=VCPU:1&required=HW_CPU_X86_AVX",
    b"\x27\x02name=startswith:CUSTOM&associated=true",
    b"\x27\x03project_id=p&user_id=u&consumer_type=all",
];

pub(crate) const BODIES: [&[u8]; 12] = [
    b"\x27\x00{\"name\": \"q\", \"uuid\": \"b0000000-0000-4000-8000-000000000000\", \"parent_provider_uuid\": \"a0000000-0000-4000-8000-000000000000\"}",
    b"\x27\x01{\"name\": \"q\", \"parent_provider_uuid\": null}",
    b"\x27\x02{\"resource_provider_generation\": 2, \"inventories\": {\"VCPU\": {\"total\": 4, \"reserved\": 1, \"min_unit\": 1, \"max_unit\": 2, \"step_size\": 1, \"allocation_ratio\": 1.5}}}",
    b"\x27\x03{\"resource_class\": \"MEMORY_MB\", \"total\": 4, \"allocation_ratio\": 1e3}",
    b"\x27\x04{\"resource_provider_generation\": 2, \"total\": 4, \"reserved\": 0}",
    b"\x27\x05{\"resource_provider_generation\": 2, \"traits\": [\"HW_CPU_X86_AVX\", \"HW_CPU_X86_AVX2\"]}",
    b"\x27\x06{\"resource_provider_generation\": 2, \"aggregates\": [\"e0000000-0000-4000-8000-000000000000\"]}",
    b"\x27\x07{\"allocations\": {\"a0000000-0000-4000-8000-000000000000\": {\"resources\": {\"VCPU\": 1}}}, \"consumer_generation\": null, \"project_id\": \"p\", \"user_id\": \"u\", \"consumer_type\": \"INSTANCE\", \"mappings\": {\"\": [\"a0000000-0000-4000-8000-000000000000\"]}}",
    b"\x0a\x07{\"allocations\": [{\"resource_provider\": {\"uuid\": \"a0000000-0000-4000-8000-000000000000\"}, \"resources\": {\"VCPU\": 1}}], \"project_id\": \"p\", \"user_id\": \"u\"}",
    b"\x27\x08{\"c0000000-0000-4000-8000-000000000000\": {\"allocations\": {\"a0000000-0000-4000-8000-000000000000\": {\"resources\": {\"VCPU\": 2}}}, \"consumer_generation\": null, \"project_id\": \"p\", \"user_id\": \"u\", \"consumer_type\": \"INSTANCE\"}}",
    b"\x27\x09{\"inventories\": {\"a0000000-0000-4000-8000-000000000000\": {\"resource_provider_generation\": 2, \"inventories\": {\"VCPU\": {\"total\": 4}}}}, \"allocations\": {\"c0000000-0000-4000-8000-000000000000\": {\"allocations\": {\"a0000000-0000-4000-8000-000000000000\": {\"resources\": {\"VCPU\": 2}}}, \"consumer_generation\": null, \"project_id\": \"p\", \"user_id\": \"u\", \"consumer_type\": \"INSTANCE\"}}}",
    b"\x27\x0a{\"name\": \"CUSTOM_A\"}",
];

pub(crate) const MICROVERSIONS: [&[u8]; 5] =
    [b"placement 1.39", b"placement latest", b"compute 2.90, placement 1.4", b"placement 1.-1", b"1.2"];

pub(crate) const POLICIES: [&[u8]; 4] = [
    b"# rights of users\n---\n\"placement:traits:list\": \"@\"\nadmin_api: 'role:admin' # us\n",
    b"{\"placement:usages\": \"role:a or (not role:b and project_id:%(project_id)s)\", \"a\": \"!\"}",
    b"a: rule:b or rule:c\nb: rule:c\nc: role:admin and user_id:%(user_id)s\n",
    b"a: 'x':%(user_id)s\nb: rule:a and rule:a\n",
];
