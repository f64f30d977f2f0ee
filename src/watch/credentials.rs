//! Watches when the credentials end, AWS's and Heroku's: the way back needs them as well.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::task::{Context, Pace, Source, keep_alive};
use crate::run::{Expiring, Report};

/// Credentials that refresh themselves end later each time they are asked; an hour is the shortest that AWS gives.
const AWS: Pace = Pace { session: Duration::from_secs(60), wall: Duration::from_secs(1) };
/// A key of Heroku's is good for hours at least; a call counts against the rate limit.
const HEROKU: Pace = Pace { session: Duration::from_secs(300), wall: Duration::from_secs(5) };

pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>) {
    keep_alive(tasks, context, "credentials", Vec::new(), aws);
    if context.plan.heroku.is_some() {
        keep_alive(tasks, context, "heroku:credentials", Vec::new(), heroku);
    }
}

async fn aws(context: Arc<Context>) {
    let mut source = Source::new("aws", &context);
    loop {
        let pause = match context.world.aws().credentials_until().await {
            Ok(until) => {
                context.out.report(Report::Expiry { of: Expiring::Credentials, host: None, until }).await;
                source.well().await;
                AWS.wall(context.clock)
            }
            Err(trouble) => source.ill(trouble).await,
        };
        sleep(pause).await;
    }
}

/// That Heroku does not answer is told by those who ask it more often; what was known of the key stays so.
async fn heroku(context: Arc<Context>) {
    loop {
        let key_until = async { context.world.heroku()?.key_until().await };
        match key_until.await {
            Ok(until) => context.out.report(Report::Expiry { of: Expiring::HerokuKey, host: None, until }).await,
            Err(trouble) => tracing::debug!(%trouble.call, %trouble.reason, "when Heroku's key ends is not known"),
        }
        sleep(HEROKU.wall(context.clock)).await;
    }
}
