//! What the migrations have written: who began, went on and ended, in the order in which the system took the lines.

use std::fmt;

use libtest_mimic::Failed;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) pod: String,
    token: u64,
    /// Seconds since the machine was started.
    at: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Journal(Vec<Line>);

impl Journal {
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split(' ');
            Some(Line {
                what: words.next()?.to_owned(),
                pod: words.next()?.to_owned(),
                token: words.next()?.parse().ok()?,
                at: words.next()?.parse().ok()?,
            })
        });
        Self(lines.collect())
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.iter().filter(|line| line.what == what).count()
    }

    /// Whether the pod has written that.
    pub(crate) fn has(&self, what: &str, pod: &str) -> bool {
        self.0
            .iter()
            .any(|line| line.what == what && line.pod == pod)
    }

    /// Who began last.
    pub(crate) fn last_to_begin(&self) -> Option<&str> {
        let mut begun = self.0.iter().filter(|line| line.what == "begin");
        begun.next_back().map(|line| line.pod.as_str())
    }

    /// Fails where one wrote while another one was at work, or after it with a lower token.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        let mut current: Option<&Line> = None;
        for line in &self.0 {
            let follows =
                current.is_some_and(|last| last.token == line.token && last.pod == line.pod);
            if line.what == "begin" {
                if current.is_some_and(|last| last.token >= line.token) {
                    return Err(format!("tokens do not rise at {line:?}").into());
                }
            } else if !follows {
                return Err(format!("two at once: {line:?} after {current:?}").into());
            }
            if current.is_some_and(|last| last.what == "end") && line.what != "begin" {
                return Err(format!("it went on after its end: {line:?}").into());
            }
            // Stamps are taken just before they are written, and have hundredths.
            if line.what == "begin" && current.is_some_and(|last| last.at > line.at + 0.011) {
                return Err(format!("{line:?} is stamped before {current:?}").into());
            }
            current = Some(line);
        }
        Ok(())
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line {
            what,
            pod,
            token,
            at,
        } in &self.0
        {
            writeln!(f, "{what} {pod} {token} {at}")?;
        }
        Ok(())
    }
}

/// Sees that what must not be is noticed: a checker that does not would be worth nothing.
pub(crate) fn check_the_checker() -> Result<(), Failed> {
    let right = "begin a 1 0.10\ngoes-on a 1 0.20\nbegin b 2 0.30\nend b 2 0.40\nbegin a 3 0.50\n";
    Journal::read(right).check()?;
    for wrong in [
        "begin a 1 0.10\nbegin b 2 0.20\ngoes-on a 1 0.30\n",
        "begin a 1 0.10\nbegin b 2 0.20\nend b 2 0.30\nend a 1 0.40\n",
        "begin a 2 0.10\nend a 2 0.20\nbegin b 1 0.30\n",
        "begin a 1 0.10\nend a 1 0.20\ngoes-on a 1 0.30\n",
        "begin a 1 0.50\nbegin b 2 0.20\n",
        "goes-on a 1 0.50\n",
    ] {
        if Journal::read(wrong).check().is_ok() {
            return Err(format!("this was not noticed:\n{wrong}").into());
        }
    }
    Ok(())
}
