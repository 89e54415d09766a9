//! A token's address as it is kept: usual ones inside the token itself, so that comparing one
//! touches no memory elsewhere; longer ones beside it.

/// The longest address that is kept inside: base58 has up to 44 bytes, `0x…` 42.
const INSIDE: usize = 46;

/// A token's address.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Short { length: u8, bytes: [u8; INSIDE] },
    Long(Box<str>),
}

impl Address {
    pub(crate) fn of(address: &str) -> Self {
        let mut bytes = [0; INSIDE];
        match (bytes.get_mut(..address.len()), u8::try_from(address.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(address.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(address.into()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            // The bytes of a `str`, so they are one.
            Self::Short { .. } => memfn::text(self.as_bytes()).unwrap_or_default(),
            Self::Long(address) => address,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(address) => address.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_length_are_kept_as_they_are() {
        for length in 0..=128 {
            let address = "ä".repeat(length / 2) + "x".repeat(length % 2).as_str();
            let kept = Address::of(&address);
            assert_eq!((kept.as_str(), kept.as_bytes()), (&*address, address.as_bytes()));
            assert_eq!(matches!(kept, Address::Short { .. }), length <= 46, "{length}");
        }
        assert_eq!(size_of::<Address>(), 48);
    }
}
