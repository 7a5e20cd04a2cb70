//! Functions of libvirt that the `virt` crate does not wrap. The only `unsafe` code of the agent.
#![allow(unsafe_code, reason = "calls into libvirt; each says why it is sound")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

type Notify = Box<dyn Fn(Uuid) + Send + Sync>;

/// A subscription to the lifecycle events of all domains, until it is dropped.
pub(super) struct Subscription {
    connection: Connect,
    callback: c_int,
}

/// Calls `notify` with the UUID of a domain at each of its lifecycle events. The event loop must
/// run.
pub(super) fn subscribe(connection: &Connect, notify: Notify) -> Result<Subscription, Error> {
    let opaque = Box::into_raw(Box::new(notify)).cast::<c_void>();
    let connection = connection.clone();
    // SAFETY: libvirt's interface has one type for the callbacks of all events and calls each with
    // what its event has; the lifecycle event has the arguments of `on_lifecycle`, and function
    // pointers of different types are of one size.
    let callback = unsafe {
        std::mem::transmute::<
            unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int,
            unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void),
        >(on_lifecycle)
    };
    let event = sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE.cast_signed();
    // SAFETY: the connection is open as long as `connection` lives, a null domain stands for all,
    // and `opaque` stays valid until libvirt calls `free_notify`.
    let id = unsafe {
        sys::virConnectDomainEventRegisterAny(
            connection.as_ptr(),
            ptr::null_mut(),
            event,
            Some(callback),
            opaque,
            Some(free_notify),
        )
    };
    if id < 0 {
        let error = Error::last_error();
        // SAFETY: libvirt frees only what it took.
        unsafe { free_notify(opaque) };
        return Err(error);
    }
    Ok(Subscription { connection, callback: id })
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // SAFETY: the connection is open as long as `self.connection` lives. On one that was lost
        // this fails, and nothing comes any more.
        unsafe { sys::virConnectDomainEventDeregisterAny(self.connection.as_ptr(), self.callback) };
    }
}

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let mut text: [c_char; sys::VIR_UUID_STRING_BUFLEN as usize] = [0; sys::VIR_UUID_STRING_BUFLEN as usize];
    // SAFETY: `domain` is valid during the call, the buffer has the length that libvirt asks for,
    // and `opaque` is the `Notify` that was registered.
    let (is_read, text, notify) = unsafe {
        let is_read = sys::virDomainGetUUIDString(domain, text.as_mut_ptr()) == 0;
        (is_read, CStr::from_ptr(text.as_ptr()), &*opaque.cast::<Notify>())
    };
    if let Some(uuid) = text.to_str().ok().filter(|_| is_read).and_then(|text| text.parse().ok()) {
        notify(uuid);
    }
    0
}

unsafe extern "C" fn free_notify(opaque: *mut c_void) {
    // SAFETY: `opaque` came from `Box::into_raw` of a `Notify`, and this is called once for each.
    drop(unsafe { Box::from_raw(opaque.cast::<Notify>()) });
}

/// The operation of the job that a domain has; `None` if it has none.
pub(super) fn job_operation(domain: &Domain) -> Result<Option<sys::virDomainJobOperation>, Error> {
    let (mut kind, mut count): (c_int, c_int) = (0, 0);
    let mut values: sys::virTypedParameterPtr = ptr::null_mut();
    // SAFETY: the domain is valid as long as `domain` lives, and libvirt writes to the three
    // variables only.
    let asked = unsafe {
        sys::virDomainGetJobStats(domain.as_ptr(), &raw mut kind, &raw mut values, &raw mut count, 0)
    };
    if asked < 0 {
        return Err(Error::last_error());
    }
    let mut operation: c_int = 0;
    // SAFETY: libvirt has allocated `count` values, which are freed once, and names end with a
    // zero.
    let found = unsafe {
        let name = sys::VIR_DOMAIN_JOB_OPERATION.as_ptr();
        let found = sys::virTypedParamsGetInt(values, count, name, &raw mut operation);
        sys::virTypedParamsFree(values, count);
        found
    };
    let has_job = kind.cast_unsigned() != sys::VIR_DOMAIN_JOB_NONE && found > 0;
    Ok(has_job.then(|| operation.cast_unsigned()))
}

/// Aborts the job of a domain.
pub(super) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is valid as long as `domain` lives.
    match unsafe { sys::virDomainAbortJob(domain.as_ptr()) } {
        0.. => Ok(()),
        _ => Err(Error::last_error()),
    }
}

/// Total memory of the host in KiB. Unlike the node info and the NUMA cells, it includes memory
/// that was added after boot.
pub(super) fn memory_total_kib(connection: &Connect) -> Result<u64, Error> {
    let all = sys::VIR_NODE_MEMORY_STATS_ALL_CELLS;
    let mut count: c_int = 0;
    // SAFETY: with a null array, libvirt only writes how many entries there are.
    let asked =
        unsafe { sys::virNodeGetMemoryStats(connection.as_ptr(), all, ptr::null_mut(), &raw mut count, 0) };
    if asked < 0 {
        return Err(Error::last_error());
    }
    let empty =
        sys::virNodeMemoryStats { field: [0; sys::VIR_NODE_MEMORY_STATS_FIELD_LENGTH as usize], value: 0 };
    let mut stats = vec![empty; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the array has as many entries as `count` says.
    let status = unsafe {
        sys::virNodeGetMemoryStats(connection.as_ptr(), all, stats.as_mut_ptr(), &raw mut count, 0)
    };
    if status < 0 {
        return Err(Error::last_error());
    }
    // SAFETY: libvirt ends the names of fields with a zero.
    let is_total =
        |field: &[c_char]| unsafe { CStr::from_ptr(field.as_ptr()) } == sys::VIR_NODE_MEMORY_STATS_TOTAL;
    Ok(stats.iter().find(|stat| is_total(&stat.field)).map_or(0, |stat| stat.value))
}
