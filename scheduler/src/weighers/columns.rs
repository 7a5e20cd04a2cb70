//! Raw weights that depend on the host alone, kept for all hosts.

use super::WeigherName;
use crate::filters::Scene;
use crate::hosts::{HostRow, HostTable};
use crate::options::Options;
use crate::request_spec::RequestSpec;

/// The columns of raw weights that are the same for every request. They are those of the exhaustive
/// pass to the bit.
#[derive(Debug, Clone)]
pub struct RawColumns {
    /// By the number of the weigher; none if it is not kept.
    columns: [Option<Vec<f64>>; WeigherName::EVERY.len()],
    /// A request for nothing: the weighers kept here do not look at it.
    request: RequestSpec,
}

impl RawColumns {
    /// The columns of the enabled weighers.
    #[must_use]
    pub fn new(hosts: &HostTable, options: &Options) -> Self {
        let mut columns = [const { None }; WeigherName::EVERY.len()];
        let enabled = options.filter_scheduler.weight_classes.iter();
        for name in enabled.filter(|name| name.depends_on_host_only()) {
            columns[*name as usize] = Some(vec![f64::NAN; hosts.len()]);
        }
        let mut columns = Self { columns, request: RequestSpec::default() };
        columns.update(hosts, options, &hosts.rows().collect::<Vec<_>>());
        columns
    }

    /// Follows changes of these hosts.
    pub fn update(&mut self, hosts: &HostTable, options: &Options, rows: &[HostRow]) {
        let scene = Scene { hosts, options, request: &self.request, now: 0 };
        for (name, column) in WeigherName::EVERY.iter().zip(&mut self.columns) {
            let Some(column) = column else { continue };
            name.with(&scene, |weigher| {
                for &row in rows {
                    column[row.index()] = weigher.raised(row).unwrap_or(f64::NAN);
                }
            });
        }
    }

    /// The raw weights of a weigher by row; NaN where the host cannot be weighed. None if it is not
    /// enabled, or if its weights differ from request to request.
    #[must_use]
    pub fn column(&self, weigher: WeigherName) -> Option<&[f64]> {
        self.columns.get(weigher as usize)?.as_deref()
    }
}
