//! `berth import-placement` and `berth export-placement`: everything from the database of another
//! Placement, and back.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_placement::{Index, Record, RestoreError};
use berth_server::migrate::{Dialect, read_dump, write_script};
use berth_server::{Contents, DataDir};
use berth_store::{Digest, Summary};
use clap::{Args, ValueEnum};

use crate::{Ending, output, store};

/// Import the database of another Placement service
#[derive(Args)]
#[command(after_help = "\
Berth speaks to no database: its own client prints what there is. For MySQL or MariaDB:
  berth import-placement --print-query mysql > placement.sql
  mysql --batch --raw --skip-column-names placement < placement.sql > placement.jsonl
  berth import-placement placement.jsonl --data /var/lib/berth
PostgreSQL: psql -qAt -f placement.sql DATABASE. SQLite: sqlite3 FILE < placement.sql. See docs/operations.md.")]
pub(crate) struct ImportPlacement {
    /// The output of the query; - reads standard input
    #[arg(value_name = "DUMP", required_unless_present = "print_query")]
    dump: Option<PathBuf>,
    /// The data directory to import into (berth serve --data); without it, only the digest is
    /// printed
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Replace an existing store with its fleet, which is kept beside the new one
    #[arg(long, requires = "data")]
    replace: bool,
    /// Print the query for this kind of database and exit
    #[arg(long, value_name = "DATABASE", conflicts_with_all = ["dump", "data"])]
    print_query: Option<Database>,
}

/// Write an SQL script that exports the state to a Placement database
#[derive(Args)]
#[command(after_help = "\
The script replaces what the database holds, in one transaction. Stop both services first, and restart Placement after:
  berth export-placement --data /var/lib/berth --to mysql --output back.sql && mysql placement < back.sql")]
pub(crate) struct ExportPlacement {
    /// The data directory of the service (berth serve --data)
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The kind of database
    #[arg(long, value_name = "DATABASE")]
    to: Database,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Database {
    /// MySQL or MariaDB
    Mysql,
    /// PostgreSQL
    Postgresql,
    /// SQLite
    Sqlite,
}

impl From<Database> for Dialect {
    fn from(database: Database) -> Self {
        match database {
            Database::Mysql => Self::Mysql,
            Database::Postgresql => Self::Postgresql,
            Database::Sqlite => Self::Sqlite,
        }
    }
}

impl ImportPlacement {
    pub(crate) fn run(self) -> Result<Ending> {
        if let Some(database) = self.print_query {
            output::print_document(&Dialect::from(database).query())?;
            return Ok(Ending::Complete);
        }
        let dump = self.dump.context("DUMP is missing")?;
        let records = read(&dump).with_context(|| dump.display().to_string())?;
        let before = digest(&records);
        let index = Index::restore(records.into_iter().map(Ok::<_, RestoreError>))?;
        let after = digest(&index.snapshot().records().collect::<Vec<_>>());
        if before != after {
            bail!("the index is not what the dump says: {} and {}", before.1, after.1);
        }
        let aside = match &self.data {
            Some(data) => save(data, self.replace, index)?,
            None => None,
        };
        output::print(&(output::counts(&after) + &output::put_aside(aside.as_deref())))?;
        Ok(Ending::Complete)
    }
}

impl ExportPlacement {
    pub(crate) fn run(self) -> Result<Ending> {
        let contents = DataDir::open_to_read(&self.data)?.load()?;
        let Contents { index, fleet } =
            contents.with_context(|| format!("{}: there is no state", self.data.display()))?;
        let snapshot = index.snapshot();
        let mut out: Box<dyn Write> = match &self.output {
            Some(file) => Box::new(output::create_private(file)?),
            None => Box::new(BufWriter::new(stdout().lock())),
        };
        let written = write_script(&mut out, self.to.into(), snapshot.records());
        let place =
            || self.output.as_ref().map_or("standard output".into(), |file| file.display().to_string());
        written.and_then(|()| out.flush()).with_context(|| format!("cannot write to {}", place()))?;
        output::note(&output::counts(&digest(&snapshot.records().collect::<Vec<_>>())))?;
        if !fleet.is_empty() {
            output::note("Placement has no place for the fleet: it is not in the script.\n")?;
        }
        Ok(Ending::Complete)
    }
}

/// The records of a dump; - is standard input.
pub(crate) fn read(dump: &Path) -> Result<Vec<Record>> {
    let input: Box<dyn Read> = match dump.to_str() {
        Some("-") => Box::new(stdin().lock()),
        _ => Box::new(File::open(dump)?),
    };
    Ok(read_dump(BufReader::new(input))?)
}

/// Returns the new place of the previous store, if there was one.
fn save(data: &Path, replace: bool, index: Index) -> Result<Option<PathBuf>> {
    let directory = DataDir::open(data)?;
    if !replace && directory.has_state()? {
        bail!("{}: there is a state already; --replace puts this one in its place", data.display());
    }
    Ok(directory.replace(&index.into(), &store::time()?)?)
}

fn digest<'a>(records: impl IntoIterator<Item = &'a Record>) -> (Summary, String) {
    let mut digest = Digest::default();
    records.into_iter().for_each(|record| digest.add(record));
    digest.finish()
}
