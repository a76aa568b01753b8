//! The objects of the API as data: what is read is kept, what is written is what the server accepts.

mod json;
mod lease;
mod meta;
mod micro_time;
mod name;
mod status;

pub use self::json::{Json, Members};
pub use self::lease::{Lease, LeaseList, LeaseSpec};
pub use self::meta::{ObjectMeta, ResourceVersion};
pub use self::micro_time::{MicroTime, ParseMicroTimeError, RawTime};
pub use self::name::{Identity, LeaseName, NameError, Namespace};
pub use self::status::{Status, StatusDetails};
