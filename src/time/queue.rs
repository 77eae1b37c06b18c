use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Timestamp;

/// A queue of events ordered by instant, and by insertion where instants are equal.
///
/// Time jumps from one event to the next, so a stretch without events costs nothing.
#[derive(Debug, Clone)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    sequence: u64,
}

#[derive(Debug, Clone)]
struct Entry<E> {
    at: Timestamp,
    sequence: u64,
    event: E,
}

impl<E> Queue<E> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Adds an event that is due at `at`.
    pub fn push(&mut self, at: Timestamp, event: E) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry {
            at,
            sequence: self.sequence,
            event,
        }));
    }

    /// The instant of the next event.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the next event if it is due at or before `limit`.
    pub fn pop_until(&mut self, limit: Timestamp) -> Option<(Timestamp, E)> {
        if self.next_at()? > limit {
            return None;
        }
        self.heap
            .pop()
            .map(|Reverse(entry)| (entry.at, entry.event))
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Removes every event for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(Timestamp, &E) -> bool) {
        self.heap
            .retain(|Reverse(entry)| keep(entry.at, &entry.event));
    }

    /// Takes every event out, in order.
    pub fn drain(&mut self) -> Vec<(Timestamp, E)> {
        let mut all = Vec::with_capacity(self.heap.len());
        while let Some(Reverse(entry)) = self.heap.pop() {
            all.push((entry.at, entry.event));
        }
        all
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SignedDuration;

    #[test]
    fn events_come_by_instant_and_then_by_insertion() {
        let start = Timestamp::UNIX_EPOCH;
        let later = start + SignedDuration::from_secs(1);
        let mut queue = Queue::new();
        queue.push(later, "c");
        queue.push(start, "a");
        queue.push(start, "b");
        let order: Vec<_> = queue.drain().into_iter().map(|(_, event)| event).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn nothing_is_taken_beyond_the_limit() {
        let mut queue = Queue::new();
        queue.push(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(5), ());
        assert!(queue.pop_until(Timestamp::UNIX_EPOCH).is_none());
        assert_eq!(queue.len(), 1);
    }
}
