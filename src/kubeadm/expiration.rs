//! `certs check-expiration`.

use serde_json::{Map, Value, json};

use super::certlist::{Ca, Managed, authorities, managed};
use super::config::ClusterConfiguration;
use super::failure::Result;
use super::loading::certificate_path;
use super::output::{self, Format};
use super::process::Process;
use super::text::{human_duration, short_human_duration, tabulate};
use crate::pki::{Certificate, x509_time};

/// One row.
struct Row {
    name: &'static str,
    /// Last second of validity and the CA's name; `None` for a missing certificate.
    found: Option<Found>,
}

struct Found {
    not_after: i64,
    residual: i64,
    ca: &'static str,
    external: bool,
}

impl Process<'_, '_> {
    /// Checks every certificate and prints the result.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn check_expiration(
        &mut self,
        config: &ClusterConfiguration,
        format: &Format,
    ) -> Result<()> {
        let leaves = self.leaf_rows(config)?;
        if !self.profile.missing_is_reported {
            // Versions without the tables of CAs show no CA column either.
            let text = tabulate(&self.leaf_table(&leaves));
            self.stdout.push_str(&text);
            return Ok(());
        }
        let authorities = match self.authority_rows(config) {
            Ok(rows) => rows,
            Err(failure) if self.profile.structured_output => return Err(failure),
            Err(failure) => {
                // The empty line makes the table writer let go of the first table.
                let mut rows = self.leaf_table(&leaves);
                rows.push(vec![String::new()]);
                self.stdout.push_str(&tabulate(&rows));
                return Err(failure);
            }
        };
        let Format::Text = format else {
            let info = structured(&leaves, &authorities);
            return output::render(&info, format, &mut self.stdout);
        };
        let mut rows = self.leaf_table(&leaves);
        rows.push(vec![String::new()]);
        rows.push(cells([
            "CERTIFICATE AUTHORITY",
            "EXPIRES",
            "RESIDUAL TIME",
            "EXTERNALLY MANAGED",
        ]));
        for row in &authorities {
            rows.push(match &row.found {
                None => cells([&format!("!MISSING! {}", row.name), "", "", ""]),
                Some(found) => cells([
                    row.name,
                    &date(found.not_after),
                    &self.residual(found.residual),
                    &yes_no(found.external),
                ]),
            });
        }
        self.stdout.push_str(&tabulate(&rows));
        Ok(())
    }

    fn leaf_rows(&mut self, config: &ClusterConfiguration) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for managed in managed(&self.profile, config.external_etcd()) {
            if self.profile.missing_is_reported && !self.managed_exists(&managed, config)? {
                rows.push(Row {
                    name: managed.name(),
                    found: None,
                });
                continue;
            }
            let external = self.is_externally_managed(&config.certificates_dir, managed.ca())?;
            let certificate = self.managed_certificate(&managed, config)?;
            let ca = match managed {
                Managed::Config(_) if !self.profile.config_rows_name_ca => "",
                _ => managed.ca().name(),
            };
            rows.push(self.row(managed.name(), &certificate, ca, external));
        }
        Ok(rows)
    }

    fn authority_rows(&mut self, config: &ClusterConfiguration) -> Result<Vec<Row>> {
        let dir = &config.certificates_dir;
        let mut rows = Vec::new();
        for ca in authorities(config.external_etcd()) {
            rows.push(self.authority_row(ca, dir)?);
        }
        Ok(rows)
    }

    fn authority_row(&mut self, ca: Ca, dir: &str) -> Result<Row> {
        if !self.file_exists(&certificate_path(dir, ca.base_name()))? {
            return Ok(Row {
                name: ca.name(),
                found: None,
            });
        }
        let external = self.is_externally_managed(dir, ca)?;
        let certificate = self.read_leaf(dir, ca.base_name())?;
        Ok(self.row(ca.name(), &certificate, "", external))
    }

    fn row(
        &self,
        name: &'static str,
        certificate: &Certificate,
        ca: &'static str,
        external: bool,
    ) -> Row {
        let not_after = certificate.not_after_unix();
        let nanos = i128::from(not_after) * 1_000_000_000 - self.now().as_nanosecond();
        // Truncated toward zero, and held at the ±292 years of Go's `time.Duration`.
        let nanos = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Row {
            name,
            found: Some(Found {
                not_after,
                residual: (nanos / 1_000_000_000) as i64,
                ca,
                external,
            }),
        }
    }

    fn leaf_table(&self, rows: &[Row]) -> Vec<Vec<String>> {
        let with_ca = self.profile.missing_is_reported;
        let mut header = cells([
            "CERTIFICATE",
            "EXPIRES",
            "RESIDUAL TIME",
            "CERTIFICATE AUTHORITY",
            "EXTERNALLY MANAGED",
        ]);
        if !with_ca {
            header.remove(3);
        }
        let mut out = vec![header];
        for row in rows {
            let Some(found) = &row.found else {
                out.push(cells([&format!("!MISSING! {}", row.name), "", "", "", ""]));
                continue;
            };
            let mut line = cells([
                row.name,
                &date(found.not_after),
                &self.residual(found.residual),
                found.ca,
                &yes_no(found.external),
            ]);
            if !with_ca {
                line.remove(3);
            }
            out.push(line);
        }
        out
    }

    fn residual(&self, seconds: i64) -> String {
        if self.profile.long_durations {
            human_duration(seconds)
        } else {
            short_human_duration(seconds)
        }
    }
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn yes_no(value: bool) -> String {
    format!("{:<8}", if value { "yes" } else { "no" })
}

/// `Jan 02, 2006 15:04 MST` in UTC.
fn date(seconds: i64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let t = x509_time::Civil::from_unix(seconds);
    let month = MONTHS[(t.month - 1) as usize];
    format!(
        "{month} {:02}, {:04} {:02}:{:02} UTC",
        t.day, t.year, t.hour, t.minute
    )
}

/// `CertificateExpirationInfo`, keys in the order of the Go type.
fn structured(leaves: &[Row], authorities: &[Row]) -> Value {
    let list = |rows: &[Row]| {
        rows.iter()
            .map(|row| {
                let mut out = Map::new();
                out.insert("name".to_owned(), json!(row.name));
                let (date, residual, external) = match &row.found {
                    None => (Value::Null, 0, false),
                    Some(found) => (
                        json!(x509_time::rfc3339(found.not_after)),
                        found.residual,
                        found.external,
                    ),
                };
                out.insert("expirationDate".to_owned(), date);
                out.insert("residualTime".to_owned(), json!(residual));
                out.insert("externallyManaged".to_owned(), json!(external));
                if let Some(ca) = row.found.as_ref().map(|found| found.ca)
                    && !ca.is_empty()
                {
                    out.insert("caName".to_owned(), json!(ca));
                }
                out.insert("missing".to_owned(), json!(row.found.is_none()));
                Value::Object(out)
            })
            .collect::<Vec<_>>()
    };
    json!({
        "kind": "CertificateExpirationInfo",
        "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
        "certificates": list(leaves),
        "certificateAuthorities": list(authorities),
    })
}
