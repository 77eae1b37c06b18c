//! A place for one process that looks like a node of the world: its host name, its network.
//!
//! A thread of its own leaves the network and the host name of this machine (`unshare`), takes the node's
//! name, and gives every address that can be reached in the world to the loopback device. What is started
//! from that thread stands in the same place; nothing gets out of it or in.

#![expect(
    clippy::disallowed_methods,
    reason = "identity maps of a user namespace are files"
)]

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, address::AddressScope};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, unshare};

/// The loopback device: the first of every network namespace.
const LOOPBACK: u32 = 1;

/// Makes a process that is not root the root of a user namespace of its own, so that it can [`enter`] places.
/// Root stays what it is. The process must have one thread only.
///
/// # Errors
/// When the kernel allows nobody but root to make user namespaces.
pub fn become_root() -> io::Result<()> {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if user.is_root() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER)?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {user} 1")),
        ("gid_map", format!("0 {group} 1")),
    ] {
        std::fs::write(format!("/proc/self/{file}"), text)?;
    }
    Ok(())
}

/// Moves the calling thread into a network and a host name of its own.
///
/// # Errors
/// When the kernel refuses: it takes root, or a user namespace.
pub fn enter(hostname: &str, addresses: &[IpAddr]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    nix::unistd::sethostname(hostname)?;
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut link = LinkMessage::default();
    link.header.index = LOOPBACK;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    ask(&socket, RouteNetlinkMessage::SetLink(link), 0)?;
    for address in addresses {
        let mut message = AddressMessage::default();
        message.header.index = LOOPBACK;
        message.header.scope = AddressScope::Universe;
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.header.prefix_len = if address.is_ipv4() { 32 } else { 128 };
        message.attributes = vec![
            AddressAttribute::Local(*address),
            AddressAttribute::Address(*address),
        ];
        ask(
            &socket,
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE,
        )?;
    }
    Ok(())
}

/// Sends a request and waits for the kernel's answer.
fn ask(socket: &Socket, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header.sequence_number = 1;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}
