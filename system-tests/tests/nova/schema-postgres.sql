-- As schema.sql, for PostgreSQL.
CREATE USER berth PASSWORD 'secret';
CREATE DATABASE nova_api;
CREATE DATABASE nova_cell1;

\connect nova_api
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('cdeec0c85668');
CREATE TABLE cell_mappings (id SERIAL PRIMARY KEY, uuid VARCHAR(36), name VARCHAR(255), database_connection TEXT,
    disabled BOOLEAN NOT NULL DEFAULT FALSE);
CREATE TABLE host_mappings (id SERIAL PRIMARY KEY, created_at TIMESTAMP, updated_at TIMESTAMP, cell_id INTEGER NOT NULL,
    host VARCHAR(255) NOT NULL UNIQUE);
CREATE TABLE aggregates (id SERIAL PRIMARY KEY, uuid VARCHAR(36), name VARCHAR(255), created_at TIMESTAMP,
    updated_at TIMESTAMP);
CREATE TABLE aggregate_hosts (id SERIAL PRIMARY KEY, aggregate_id INTEGER, host VARCHAR(255), created_at TIMESTAMP,
    updated_at TIMESTAMP);
CREATE TABLE aggregate_metadata (id SERIAL PRIMARY KEY, aggregate_id INTEGER, key VARCHAR(255), value VARCHAR(255),
    created_at TIMESTAMP, updated_at TIMESTAMP);
GRANT SELECT ON cell_mappings, aggregates, aggregate_hosts, aggregate_metadata, alembic_version TO berth;
GRANT SELECT, INSERT ON host_mappings TO berth;
GRANT USAGE ON SEQUENCE host_mappings_id_seq TO berth;

\connect nova_cell1
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('ab450ba04102');
CREATE TABLE services (id SERIAL PRIMARY KEY, created_at TIMESTAMP, updated_at TIMESTAMP, uuid VARCHAR(36),
    host VARCHAR(255), "binary" VARCHAR(255), topic VARCHAR(255), report_count INTEGER NOT NULL DEFAULT 0,
    disabled BOOLEAN DEFAULT FALSE, disabled_reason VARCHAR(255), forced_down BOOLEAN DEFAULT FALSE, last_seen_up TIMESTAMP,
    version INTEGER, deleted INTEGER DEFAULT 0);
CREATE TABLE compute_nodes (id SERIAL PRIMARY KEY, updated_at TIMESTAMP, uuid VARCHAR(36), host VARCHAR(255),
    hypervisor_hostname VARCHAR(255), vcpus INTEGER NOT NULL, memory_mb INTEGER NOT NULL, local_gb INTEGER NOT NULL,
    vcpus_used INTEGER NOT NULL DEFAULT 0, memory_mb_used INTEGER NOT NULL DEFAULT 0,
    local_gb_used INTEGER NOT NULL DEFAULT 0, hypervisor_type TEXT, hypervisor_version INTEGER, cpu_info TEXT,
    disk_available_least INTEGER, free_ram_mb INTEGER, free_disk_gb INTEGER, host_ip INET, supported_instances TEXT,
    mapped INTEGER DEFAULT 0, pci_stats TEXT, metrics TEXT, stats TEXT, numa_topology TEXT, ram_allocation_ratio DOUBLE PRECISION,
    cpu_allocation_ratio DOUBLE PRECISION, disk_allocation_ratio DOUBLE PRECISION, deleted INTEGER DEFAULT 0);
CREATE TABLE instances (id SERIAL PRIMARY KEY, uuid VARCHAR(36) NOT NULL UNIQUE, host VARCHAR(255), node VARCHAR(255),
    deleted INTEGER DEFAULT 0);

-- The grants of docs/replace-nova-scheduler.md.
GRANT SELECT ON compute_nodes, instances, alembic_version TO berth;
GRANT SELECT, INSERT, UPDATE ON services TO berth;
GRANT USAGE ON SEQUENCE services_id_seq TO berth;
GRANT UPDATE (mapped) ON compute_nodes TO berth;
