//! Orders to a console that is being followed.

use tokio::sync::mpsc;

/// An order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Typed bytes.
    Typed(Vec<u8>),
    /// A break.
    Break,
    /// A reboot was asked for by other means.
    RebootRequested,
    /// Stop following.
    Cancel,
}

/// Gives orders; clones give orders to the same run. Orders to an ended run are dropped.
#[derive(Clone, Debug)]
pub struct ControlHandle(mpsc::UnboundedSender<Order>);

/// The receiving end, for [`super::follow`].
#[derive(Debug)]
pub struct Control(pub(crate) mpsc::UnboundedReceiver<Order>);

/// A connected pair.
#[must_use]
pub fn control() -> (ControlHandle, Control) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (ControlHandle(sender), Control(receiver))
}

impl ControlHandle {
    /// Bytes that the user typed; escapes are taken out when the options say so.
    pub fn typed(&self, bytes: Vec<u8>) {
        self.give(Order::Typed(bytes));
    }

    /// Sends a break to the machine.
    pub fn send_break(&self) {
        self.give(Order::Break);
    }

    /// Says that the machine is being rebooted on purpose.
    pub fn reboot_requested(&self) {
        self.give(Order::RebootRequested);
    }

    /// Ends the run with [`crate::verdict::Verdict::Interrupted`].
    pub fn cancel(&self) {
        self.give(Order::Cancel);
    }

    fn give(&self, order: Order) {
        drop(self.0.send(order));
    }
}
