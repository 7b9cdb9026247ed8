//! A resource amount, as users write it: `128Mi`, `"0.5"`, or a bare number.

use std::{borrow::Cow, fmt};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A Kubernetes quantity. Unlike [`Quantity`] it also takes a bare number, as `kubectl` users write `cpu: 1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Amount(pub String);

/// The text is not a quantity.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAnAmount(pub String);

impl fmt::Display for NotAnAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a quantity: write a number with an optional suffix, such as 128Mi, 500m or 0.5", self.0)
    }
}

impl Amount {
    /// In thousandths of the unit (bytes, cores), rounded up. Follows Kubernetes' `resource.Quantity` grammar: decimal
    /// number, then `n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei`, or a decimal exponent.
    ///
    /// # Errors
    /// [`NotAnAmount`] when the text does not follow the grammar or does not fit.
    pub fn milli(&self) -> Result<i128, NotAnAmount> {
        let fail = || NotAnAmount(self.0.clone());
        let split =
            self.0.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at(split);
        let value: f64 = number.parse().map_err(|_| fail())?;
        let scale: f64 = match suffix {
            "" => 1.0,
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1_048_576.0,
            "Gi" => 1_073_741_824.0,
            "Ti" => 1_099_511_627_776.0,
            "Pi" => 1_125_899_906_842_624.0,
            "Ei" => 1_152_921_504_606_846_976.0,
            exponent => match exponent.strip_prefix(['e', 'E']).map(str::parse::<i32>) {
                Some(Ok(power)) if power.abs() <= 18 => 10f64.powi(power),
                _ => return Err(fail()),
            },
        };
        let milli = (value * scale * 1000.0).ceil();
        if !milli.is_finite() || milli.abs() > 1e30 {
            return Err(fail());
        }
        // Within ±1e30 the cast is exact enough: amounts above 2^53 thousandths are rounded to a float's precision.
        #[allow(clippy::cast_possible_truncation)]
        Ok(milli as i128)
    }

    /// As Kubernetes' own type.
    pub fn quantity(&self) -> Quantity {
        Quantity(self.0.clone())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 128Mi, \"0.5\" or 1")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Amount, E> {
                Ok(Amount(v.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Amount, E> {
                Ok(Amount(v.to_string()))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Amount, E> {
                Ok(Amount(v.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "maxLength": 32})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let table = [
            ("128Mi", 134_217_728_000),
            ("1", 1000),
            ("0.5", 500),
            ("500m", 500),
            ("1e3", 1_000_000),
            ("2k", 2_000_000),
            ("1Ti", 1_099_511_627_776_000),
            ("1n", 1),
            ("0", 0),
        ];
        for (text, milli) in table {
            assert_eq!(Amount(text.into()).milli(), Ok(milli), "{text}");
        }
        for text in ["", "Mi", "12MB", "1e99", "..", "1 Gi", "-"] {
            assert!(Amount(text.into()).milli().is_err(), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_an_amount() {
        let read: Amount = serde_json::from_str("2").unwrap();
        assert_eq!(read, Amount("2".into()));
    }
}
