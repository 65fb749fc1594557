//! One scrape of the Prometheus text that a daemon shows.

use std::net::SocketAddr;

use crate::{http, names};

/// All samples of one scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads `/metrics` of an admin address.
    ///
    /// # Panics
    /// When the page isn't there or a line of it isn't a sample.
    pub fn scrape(admin: SocketAddr) -> Metrics {
        let (status, text) = http::get(admin, "/metrics").expect("the metrics page");
        assert_eq!(status, 200, "{text}");
        Metrics::parse(&text)
    }

    /// Reads the text format.
    ///
    /// # Panics
    /// When a line is neither a comment nor a sample.
    pub fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics {
            samples: lines
                .map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line}")))
                .collect(),
        }
    }

    /// The sum over all samples of that name that carry these labels, whatever others they carry.
    ///
    /// # Panics
    /// When there is none: a name that doesn't exist must not pass for a zero.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.values(name, labels).iter().sum()
    }

    /// The values of all samples of that name that carry these labels.
    ///
    /// # Panics
    /// When there is none.
    pub fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let carries = |s: &&Sample| s.name == name && labels.iter().all(|label| s.carries(*label));
        let values: Vec<f64> = self.samples.iter().filter(carries).map(|s| s.value).collect();
        assert!(!values.is_empty(), "no metric {name}{labels:?} among:\n{}", self.names());
        values
    }

    /// Whether there is a sample of that name that carries these labels.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let mut of_name = self.samples.iter().filter(|s| s.name == name);
        of_name.any(|s| labels.iter().all(|label| s.carries(*label)))
    }

    /// How often something ended for a reason with these labels. Such a reason has no sample before it first occurs.
    pub fn closed(&self, labels: &[(&str, &str)]) -> f64 {
        let ends = self.samples.iter().filter(|s| s.name == names::CLOSED);
        let ends = ends.filter(|s| labels.iter().all(|label| s.carries(*label)));
        ends.map(|s| s.value).sum()
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.samples.iter().map(|s| s.name.as_str()).collect();
        names.dedup();
        names.join("\n")
    }
}

impl Sample {
    fn carries(&self, (key, value): (&str, &str)) -> bool {
        self.labels.iter().any(|(k, v)| k == key && v == value)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    // A quote ends each value; none of our label values holds one.
    let labels = labels.split_terminator('"').collect::<Vec<_>>();
    let labels = labels
        .chunks(2)
        .map(|pair| match pair {
            [key, value] => {
                let key = key.trim_start_matches(',').strip_suffix('=')?;
                Some((key.to_owned(), (*value).to_owned()))
            }
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP bytes x\nbytes{way=\"up\",mover=\"copy\"} 3\nbytes{way=\"down\",mover=\"copy\"} 4\n\nopen 2.5e1\n";

    #[test]
    fn labels_narrow_the_sum() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(metrics.sum("bytes", &[("mover", "copy")]), 7.0);
        assert_eq!(metrics.sum("bytes", &[("way", "down"), ("mover", "copy")]), 4.0);
        assert_eq!(metrics.sum("open", &[]), 25.0);
    }

    #[test]
    #[should_panic(expected = "no metric bytes")]
    fn a_label_that_nothing_carries_is_no_zero() {
        Metrics::parse(PAGE).sum("bytes", &[("way", "sideways")]);
    }
}
