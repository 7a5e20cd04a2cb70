-- The tables and columns of Nova's databases that Berth reads, and those of its service record. Types follow what Berth expects
-- of them; everything else of Nova's schema is left out.
CREATE DATABASE nova_api;
CREATE DATABASE nova_cell1;
CREATE USER 'berth'@'%' IDENTIFIED BY 'secret';

USE nova_api;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('cdeec0c85668');
CREATE TABLE cell_mappings (id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36), name VARCHAR(255),
    database_connection TEXT, disabled BOOL NOT NULL DEFAULT 0);
CREATE TABLE host_mappings (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, updated_at DATETIME, cell_id INT NOT NULL,
    host VARCHAR(255) NOT NULL UNIQUE);
CREATE TABLE aggregates (id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36), name VARCHAR(255), created_at DATETIME,
    updated_at DATETIME);
CREATE TABLE aggregate_hosts (id INT AUTO_INCREMENT PRIMARY KEY, aggregate_id INT, host VARCHAR(255), created_at DATETIME,
    updated_at DATETIME);
CREATE TABLE aggregate_metadata (id INT AUTO_INCREMENT PRIMARY KEY, aggregate_id INT, `key` VARCHAR(255),
    `value` VARCHAR(255), created_at DATETIME, updated_at DATETIME);

CREATE TABLE instance_groups (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, updated_at DATETIME, user_id VARCHAR(255),
    project_id VARCHAR(255), uuid VARCHAR(36) NOT NULL, name VARCHAR(255));
CREATE TABLE instance_group_policy (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, updated_at DATETIME,
    policy VARCHAR(255), group_id INT NOT NULL, rules TEXT);
CREATE TABLE instance_group_member (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, updated_at DATETIME,
    instance_uuid VARCHAR(255), group_id INT NOT NULL);

USE nova_cell1;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('ab450ba04102');
CREATE TABLE services (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, updated_at DATETIME, uuid VARCHAR(36),
    host VARCHAR(255), `binary` VARCHAR(255), topic VARCHAR(255), report_count INT NOT NULL DEFAULT 0,
    `disabled` BOOL DEFAULT 0, disabled_reason VARCHAR(255), forced_down BOOL DEFAULT 0, last_seen_up DATETIME, version INT,
    deleted INT DEFAULT 0);
CREATE TABLE compute_nodes (id INT AUTO_INCREMENT PRIMARY KEY, updated_at DATETIME, uuid VARCHAR(36), host VARCHAR(255),
    hypervisor_hostname VARCHAR(255), vcpus INT NOT NULL, memory_mb INT NOT NULL, local_gb INT NOT NULL,
    vcpus_used INT NOT NULL DEFAULT 0, memory_mb_used INT NOT NULL DEFAULT 0, local_gb_used INT NOT NULL DEFAULT 0,
    hypervisor_type VARCHAR(255), hypervisor_version INT, cpu_info TEXT, disk_available_least INT, free_ram_mb INT,
    free_disk_gb INT, host_ip VARCHAR(39), supported_instances TEXT, pci_stats TEXT, metrics TEXT, stats TEXT,
    mapped INT DEFAULT 0, numa_topology TEXT, ram_allocation_ratio FLOAT, cpu_allocation_ratio FLOAT, disk_allocation_ratio FLOAT,
    deleted INT DEFAULT 0);
CREATE TABLE instances (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, uuid VARCHAR(36) NOT NULL UNIQUE,
    display_name VARCHAR(255), host VARCHAR(255), node VARCHAR(255), deleted INT DEFAULT 0, INDEX (host, node, deleted));
CREATE TABLE instance_extra (id INT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, instance_uuid VARCHAR(36) NOT NULL,
    flavor TEXT, deleted INT DEFAULT 0);

-- The grants of docs/replace-nova-scheduler.md.
GRANT SELECT ON nova_api.cell_mappings TO 'berth'@'%';
GRANT SELECT ON nova_api.aggregates TO 'berth'@'%';
GRANT SELECT ON nova_api.aggregate_hosts TO 'berth'@'%';
GRANT SELECT ON nova_api.aggregate_metadata TO 'berth'@'%';
GRANT SELECT ON nova_api.alembic_version TO 'berth'@'%';
GRANT SELECT, INSERT, UPDATE ON nova_cell1.services TO 'berth'@'%';
GRANT SELECT ON nova_cell1.compute_nodes TO 'berth'@'%';
GRANT SELECT ON nova_cell1.instances TO 'berth'@'%';
GRANT SELECT ON nova_cell1.alembic_version TO 'berth'@'%';
-- Those that discover_hosts_in_cells_interval needs.
GRANT SELECT, INSERT ON nova_api.host_mappings TO 'berth'@'%';
GRANT UPDATE (mapped) ON nova_cell1.compute_nodes TO 'berth'@'%';

-- Those of docs/scenarios.md, for snapshots of the fleet.
CREATE USER 'planner'@'%' IDENTIFIED BY 'secret';
GRANT SELECT ON nova_api.cell_mappings TO 'planner'@'%';
GRANT SELECT ON nova_api.aggregates TO 'planner'@'%';
GRANT SELECT ON nova_api.aggregate_hosts TO 'planner'@'%';
GRANT SELECT ON nova_api.aggregate_metadata TO 'planner'@'%';
GRANT SELECT ON nova_api.instance_groups TO 'planner'@'%';
GRANT SELECT ON nova_api.instance_group_policy TO 'planner'@'%';
GRANT SELECT ON nova_api.instance_group_member TO 'planner'@'%';
GRANT SELECT ON nova_cell1.services TO 'planner'@'%';
GRANT SELECT ON nova_cell1.compute_nodes TO 'planner'@'%';
GRANT SELECT ON nova_cell1.instances TO 'planner'@'%';
GRANT SELECT ON nova_cell1.instance_extra TO 'planner'@'%';
