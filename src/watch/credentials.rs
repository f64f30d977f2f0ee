//! Watches when the AWS credentials end: the way back needs them as well.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::task::{Context, Pace, Source, keep_alive};
use crate::run::{Expiring, Report};

/// Credentials that refresh themselves end later each time they are asked; an hour is the shortest that AWS gives.
const PACE: Pace = Pace { session: Duration::from_secs(60), wall: Duration::from_secs(1) };

pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>) {
    keep_alive(tasks, context, "credentials", Vec::new(), credentials);
}

async fn credentials(context: Arc<Context>) {
    let mut source = Source::new("aws", &context);
    loop {
        let pause = match context.world.aws().credentials_until().await {
            Ok(until) => {
                context.out.report(Report::Expiry { of: Expiring::Credentials, until }).await;
                source.well().await;
                PACE.wall(context.clock)
            }
            Err(trouble) => source.ill(trouble).await,
        };
        tokio::time::sleep(pause).await;
    }
}
