//! The registry of algorithms that a program can use. Each verifier *allows* some of them by name.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Algorithm, Hmac, Rsa};

/// A frozen set of algorithms, cheap to clone and share.
///
/// ```
/// use claimgate::alg::Registry;
/// let registry = Registry::builtin();
/// assert!(registry.get("RS256").is_some());
/// assert!(registry.get("none").is_none());
/// assert!(registry.names().any(|name| name == "ES256"));
/// let by_ring = registry.by_ring(); // without the RSA kernel, whatever the CPU
/// ```
#[derive(Clone)]
pub struct Registry {
    algorithms: Arc<[Arc<dyn Algorithm>]>,
}

impl Registry {
    /// Returns the built-in algorithms: RS, PS and HS with SHA-256/384/512; ES256/384/512 with the feature `ec`,
    /// EdDSA and Ed25519 with the feature `eddsa`, both on by default.
    #[must_use]
    pub fn builtin() -> Self {
        Self { algorithms: builtin_algorithms().into() }
    }

    /// Returns the same registry without the kernel for CPUs with AVX-512 IFMA: each [`Rsa`] that uses it
    /// is replaced by [`Rsa::by_ring`]. All other algorithms are unchanged.
    #[must_use]
    pub fn by_ring(&self) -> Self {
        let by_ring = |algorithm: &Arc<dyn Algorithm>| -> Arc<dyn Algorithm> {
            match (&**algorithm as &dyn Any).downcast_ref::<Rsa>() {
                Some(rsa) if rsa.uses_kernel() => Arc::new(rsa.by_ring()),
                _ => Arc::clone(algorithm),
            }
        };
        Self { algorithms: self.algorithms.iter().map(by_ring).collect() }
    }

    /// Starts an empty registry; [`RegistryBuilder::builtin`] adds the built-in algorithms.
    #[must_use]
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder { algorithms: Vec::new(), refusal: None }
    }

    /// Returns the algorithm of this name, compared case-sensitively.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Algorithm>> {
        self.algorithms.iter().find(|algorithm| algorithm.name() == name)
    }

    /// Returns the names, in order of registration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.algorithms.iter().map(|algorithm| algorithm.name())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// A builder of a [`Registry`].
///
/// ```
/// use std::sync::Arc;
/// use claimgate::alg::{Registry, Rsa};
/// let registry = Registry::builder()
///     .builtin()
///     .replace(Arc::new(Rsa::RS256.by_ring()))
///     .without("HS256")
///     .build()?;
/// assert!(registry.get("RS256").is_some() && registry.get("HS256").is_none());
/// # Ok::<(), claimgate::alg::RegistryError>(())
/// ```
///
/// ```
/// use std::sync::Arc;
///
/// use claimgate::alg::{Algorithm, Registry, RegistryError, Rsa};
///
/// fn registry(own: Arc<dyn Algorithm>) -> Result<Registry, RegistryError> {
///     let rs256: Arc<dyn Algorithm> = Arc::new(Rsa::RS256.by_ring());
///     Registry::builder().builtin().register(own).replace(rs256).without("HS256").build()
/// }
///
/// let registry = Registry::builtin();
/// assert!(registry.names().any(|name| name == "ES256") && registry.get("none").is_none());
/// let by_ring = registry.by_ring(); // without the RSA kernel, whatever the CPU
/// assert!(by_ring.get("RS256").is_some());
/// ```
#[derive(Clone)]
pub struct RegistryBuilder {
    algorithms: Vec<Arc<dyn Algorithm>>,
    refusal: Option<RegistryError>,
}

impl RegistryBuilder {
    /// Adds the built-in algorithms.
    #[must_use]
    pub fn builtin(self) -> Self {
        builtin_algorithms().into_iter().fold(self, Self::register)
    }

    /// Adds an algorithm of a name that is not registered yet.
    #[must_use]
    pub fn register(mut self, algorithm: Arc<dyn Algorithm>) -> Self {
        let name = algorithm.name();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.refuse(RegistryError::Name)
        } else if name.eq_ignore_ascii_case("none") {
            self.refuse(RegistryError::None)
        } else if self.position(name).is_some() {
            let name = name.to_owned();
            self.refuse(RegistryError::Duplicate { name })
        } else {
            self.algorithms.push(algorithm);
            self
        }
    }

    /// Puts an algorithm in the place of the registered one of the same name, such as a built-in one.
    #[must_use]
    pub fn replace(mut self, algorithm: Arc<dyn Algorithm>) -> Self {
        match self.position(algorithm.name()) {
            Some(at) => {
                self.algorithms[at] = algorithm;
                self
            }
            None => {
                let name = algorithm.name().to_owned();
                self.refuse(RegistryError::NotRegistered { name })
            }
        }
    }

    /// Leaves out the registered algorithm of this name, such as a built-in one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        match self.position(name) {
            Some(at) => {
                self.algorithms.remove(at);
                self
            }
            None => self.refuse(RegistryError::NotRegistered { name: name.to_owned() }),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.algorithms.iter().position(|known| known.name() == name)
    }

    fn refuse(mut self, refusal: RegistryError) -> Self {
        self.refusal.get_or_insert(refusal);
        self
    }

    /// Builds the registry.
    ///
    /// # Errors
    /// The first [`RegistryError`] of the registrations.
    pub fn build(self) -> Result<Registry, RegistryError> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Registry { algorithms: self.algorithms.into() }),
        }
    }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.algorithms.iter().map(|algorithm| algorithm.name())).finish()
    }
}

/// The reason that an algorithm cannot be registered, replaced or left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// `none`, in any case: an unsecured JWS (RFC 7515 A.5) has no signature.
    #[error("`none` cannot be registered")]
    None,
    /// An algorithm of this name is registered already.
    #[error("an algorithm named `{name}` is registered already")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No algorithm of this name is registered that could be replaced or left out.
    #[error("no algorithm named `{name}` is registered")]
    NotRegistered {
        /// The name.
        name: String,
    },
    /// The name is empty or contains characters other than visible ASCII.
    #[error("an algorithm's name must be visible ASCII")]
    Name,
}

crate::code::coded!(RegistryError);

impl RegistryError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RegistryError::None => "registry.none",
            RegistryError::Duplicate { .. } => "registry.duplicate",
            RegistryError::NotRegistered { .. } => "registry.not_registered",
            RegistryError::Name => "registry.name",
        }
    }
}

fn builtin_algorithms() -> Vec<Arc<dyn Algorithm>> {
    [
        family([Rsa::RS256, Rsa::RS384, Rsa::RS512, Rsa::PS256, Rsa::PS384, Rsa::PS512]),
        family([Hmac::HS256, Hmac::HS384, Hmac::HS512]),
        #[cfg(feature = "ec")]
        family([super::Ecdsa::ES256, super::Ecdsa::ES384, super::Ecdsa::ES512]),
        #[cfg(feature = "eddsa")]
        family([super::EdDsa::POLYMORPHIC, super::EdDsa::ED25519]),
    ]
    .concat()
}

fn family<A: Algorithm>(algorithms: impl IntoIterator<Item = A>) -> Vec<Arc<dyn Algorithm>> {
    algorithms.into_iter().map(|algorithm| Arc::new(algorithm) as Arc<dyn Algorithm>).collect()
}
