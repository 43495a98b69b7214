//! Values computed where there are none.

use larder::ErrorKind;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::operations::{Computes, Key, Length, Lives, Read, name};
use super::oracle::{Checked, value};
use super::player::Player;

/// Why a computation failed.
#[derive(Debug)]
enum Failed {
    OnPurpose,
    #[expect(dead_code, reason = "it is shown")]
    Cache(larder::Error),
}

impl From<larder::Error> for Failed {
    fn from(error: larder::Error) -> Self {
        Self::Cache(error)
    }
}

impl Player {
    pub(super) fn fill(&mut self, key: Key, computes: Computes) -> Checked {
        let there = self.look(key)?;
        let beside = match computes {
            Computes::Stores(other, length) if other != key && !there => {
                self.look(other)?;
                Some((other, self.length_of(other, length)))
            }
            _ => None,
        };
        let length = match computes {
            Computes::Value(length) | Computes::AsksForItself(length) => length,
            Computes::Stores(_, length) => length,
            Computes::Fails => Length::Exact(0),
        };
        let length = self.length_of(key, length);
        let cache = self.cache();
        let mut stored = Vec::new();
        self.version += 2;
        let version = self.version;
        let mut beside_stored = false;
        let mut computed = false;
        let got = cache.try_get_or_insert_with(name(key), || {
            computed = true;
            match computes {
                Computes::Fails => return Err(Failed::OnPurpose),
                Computes::AsksForItself(_) => {
                    let error = cache.get_or_insert_with(name(key), Vec::new).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Busy);
                }
                _ => {}
            }
            if let Some((other, length)) = beside {
                let new = value(other, version - 1, length);
                beside_stored = cache.insert(name(other), new).is_ok();
            }
            Ok(value(key, version, length))
        });
        if let Some((other, length)) = beside {
            prop_assert_eq!(beside_stored, self.fits(other, length));
            if beside_stored {
                self.stored(other, version - 1, length, self.expiry(Lives::Default))?;
                stored.push((other, length));
            }
        }
        prop_assert!(computed != there, "computed: {computed}, there: {there}");
        match got {
            Ok(got) if there => self.oracle.saw(key, Some(&got), self.now()),
            Ok(got) => {
                prop_assert!(got == value(key, version, length));
                if !self.fits(key, length) {
                    return self.read(&cache, key, Read::Get);
                }
                self.stored(key, version, length, self.expiry(Lives::Default))?;
                stored.push((key, length));
                self.explain(&stored)
            }
            Err(Failed::OnPurpose) if matches!(computes, Computes::Fails) => {
                self.read(&cache, key, Read::Get)
            }
            Err(error) => Err(TestCaseError::fail(format!("a fill: {error:?}"))),
        }
    }
}
