//! Launching: RunInstances with tags at creation, over types and zones until one has room.
//!
//! Invariants: nothing untagged is ever made; no inbound rule is made; the same command
//! repeated finds the instance that it made instead of making a second one. When two
//! commands race for a name, the older instance stays and the younger is terminated.

use std::time::Duration;

use jiff::Timestamp;

use crate::ami::filter;
use crate::attempt::{Attempt, LaunchOptions, attempts};
use crate::connect::Cloud;
use crate::doctor::quota_code;
use crate::error::{CloudError, Tried};
use crate::event::Event;
use crate::instance::Instance;
use crate::plan::{BootPlan, ImageFacts};
use crate::prepare::{Prepared, in_the_way};
use crate::publish::Object;

const CALL: &str = "ec2:RunInstances";

/// A token is used up by each launch under one name within a day or so of which no trace is
/// left: more than this is not believable.
const MOST_GENERATIONS: u32 = 64;

/// How long an instance may stay invisible after it was made.
const BECOMES_VISIBLE: Duration = Duration::from_secs(15);

/// The quota for spot capacity is used up: on demand there may be room all the same.
const SPOT_QUOTA: &str = "MaxSpotInstanceCountExceeded";

/// Codes that mean "try elsewhere".
const ELSEWHERE: [&str; 9] = [
    "InsufficientInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientFreeAddressesInSubnet",
    SPOT_QUOTA,
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
    "Unsupported",
    "UnsupportedOperation",
];

/// Whether a code means "try elsewhere".
pub(crate) fn is_elsewhere(code: &str) -> bool {
    ELSEWHERE.contains(&code)
}

/// A launch that was accepted.
#[derive(Debug, Clone)]
pub struct Launched {
    /// The instance as RunInstances reported it.
    pub instance: Instance,
    /// How it boots.
    pub plan: BootPlan,
    /// Whether an earlier run of the same command had launched it.
    pub adopted: bool,
    /// Whether it is spot capacity.
    pub spot: bool,
}

/// How one attempt ended.
enum Outcome {
    Accepted(Box<Instance>),
    /// The token belongs to an instance that is there.
    Found(Box<Instance>),
    /// The token belongs to an instance that is gone.
    Spent,
}

impl Cloud {
    /// Launches.
    pub async fn launch<'a>(
        &self,
        prepared: &Prepared,
        image: &ImageFacts,
        object: impl Into<Option<&'a Object>>,
        options: &LaunchOptions,
    ) -> Result<Launched, CloudError> {
        let attempts = attempts(prepared, image, object, options, Timestamp::now())?;
        if let (Some(instance), Some(first)) =
            (self.still_running(prepared).await?, attempts.first())
        {
            return self.adopt(instance, first, prepared, options);
        }
        let mut tried: Vec<Tried> = Vec::new();
        for attempt in &attempts {
            if tried.iter().any(|before| rules_out(before, attempt)) {
                continue;
            }
            match self.try_attempt(prepared, attempt).await {
                Ok(Outcome::Found(instance)) => {
                    return self.adopt(*instance, attempt, prepared, options);
                }
                Ok(Outcome::Accepted(instance)) => {
                    return self.settle(*instance, attempt, prepared, options).await;
                }
                Ok(Outcome::Spent) => {
                    return Err(CloudError::BadAnswer {
                        call: CALL,
                        cause: format!("{MOST_GENERATIONS} client tokens are used up"),
                    });
                }
                Err(CloudError::Service { code, .. }) if is_elsewhere(&code) => {
                    tried.push(self.no_room(attempt, code));
                }
                Err(error) => return Err(about_attempt(error, attempt, self.region())),
            }
        }
        Err(CloudError::Capacity(tried))
    }

    /// Asks with DryRun whether the attempt would be permitted.
    pub async fn launch_permitted(&self, attempt: &Attempt) -> Result<(), CloudError> {
        let request = attempt.request(self.ec2(), &attempt.token).dry_run(true);
        match self.call(CALL, request.send()).await {
            Ok(_) => Ok(()),
            Err(CloudError::Service { code, .. }) if code == "DryRunOperation" => Ok(()),
            Err(error) => Err(about_attempt(error, attempt, self.region())),
        }
    }

    /// The instance that had the name when the lookups were made may have gone meanwhile.
    async fn still_running(&self, prepared: &Prepared) -> Result<Option<Instance>, CloudError> {
        let Some(running) = &prepared.running else { return Ok(None) };
        match self.describe_id(&running.id).await {
            Ok(instance) => Ok(Some(instance).filter(|instance| instance.state.is_live())),
            Err(CloudError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn no_room(&self, attempt: &Attempt, code: String) -> Tried {
        let place = attempt.place.clone();
        self.tell(Event::NoCapacity {
            instance_type: place.instance_type.clone(),
            zone: place.zone.clone(),
            spot: attempt.spot,
            code: code.clone(),
        });
        Tried { instance_type: place.instance_type, zone: place.zone, spot: attempt.spot, code }
    }

    /// One place, with the next token whenever one turns out to be spent.
    async fn try_attempt(
        &self,
        prepared: &Prepared,
        attempt: &Attempt,
    ) -> Result<Outcome, CloudError> {
        self.tell(Event::Launching {
            instance_type: attempt.place.instance_type.clone(),
            zone: attempt.place.zone.clone(),
            spot: attempt.spot,
        });
        for generation in 0..MOST_GENERATIONS {
            let token = attempt.token_of(prepared, generation);
            match self.run(attempt, &token).await? {
                Outcome::Spent => {}
                outcome => return Ok(outcome),
            }
        }
        Ok(Outcome::Spent)
    }

    async fn run(&self, attempt: &Attempt, token: &str) -> Result<Outcome, CloudError> {
        let request = attempt.request(self.ec2(), token);
        let answer = match self.call(CALL, request.send()).await {
            Ok(answer) => answer,
            Err(CloudError::Service { code, .. }) if code == "IdempotentParameterMismatch" => {
                return self.token_owner(token).await;
            }
            Err(error) => return Err(error),
        };
        let found = answer.instances.unwrap_or_default().into_iter().next();
        let instance = found.as_ref().and_then(Instance::from_ec2).ok_or_else(|| {
            CloudError::BadAnswer { call: CALL, cause: "no instance in it".to_owned() }
        })?;
        if instance.state.is_live() {
            Ok(Outcome::Accepted(Box::new(instance)))
        } else {
            Ok(Outcome::Spent)
        }
    }

    /// The instance that a token made, which may not be visible yet.
    async fn token_owner(&self, token: &str) -> Result<Outcome, CloudError> {
        let start = std::time::Instant::now();
        loop {
            let found = self.describe(vec![filter("client-token", token)]).await?;
            match found.into_iter().next() {
                Some(instance) if instance.state.is_live() => {
                    return Ok(Outcome::Found(Box::new(instance)));
                }
                Some(_) => return Ok(Outcome::Spent),
                None if start.elapsed() >= BECOMES_VISIBLE => return Ok(Outcome::Spent),
                None => tokio::time::sleep(self.poll()).await,
            }
        }
    }

    /// Takes a live instance for ours, if that is asked for and it is what would be launched.
    fn adopt(
        &self,
        instance: Instance,
        attempt: &Attempt,
        prepared: &Prepared,
        options: &LaunchOptions,
    ) -> Result<Launched, CloudError> {
        let same = prepared.may_be_adopted(&instance) && attempt.is_same_launch(&instance);
        if !(options.adopt && same) {
            let way = in_the_way(&attempt.name, &instance);
            return Err(CloudError::AlreadyRunning(Box::new(way)));
        }
        let spot = instance.spot_request.is_some();
        self.tell_launched(&instance, spot, true);
        Ok(Launched { instance, plan: attempt.plan.clone(), adopted: true, spot })
    }

    fn tell_launched(&self, instance: &Instance, spot: bool, adopted: bool) {
        self.tell(Event::Launched {
            id: instance.id.clone(),
            instance_type: instance.instance_type.clone(),
            zone: instance.zone.clone(),
            spot,
            adopted,
        });
    }

    /// Looks whether another command has launched under the same name meanwhile.
    async fn settle(
        &self,
        instance: Instance,
        attempt: &Attempt,
        prepared: &Prepared,
        options: &LaunchOptions,
    ) -> Result<Launched, CloudError> {
        self.tell_launched(&instance, attempt.spot, false);
        let older = match self.named(&attempt.name).await {
            Ok(named) => named.into_iter().find(|other| other.is_older_rival_of(&instance)),
            Err(error) => {
                let text = format!("whether `{}` is unique is unknown: {error}", attempt.name);
                self.tell(Event::Warning { text });
                None
            }
        };
        match older {
            None => Ok(Launched {
                instance,
                plan: attempt.plan.clone(),
                adopted: false,
                spot: attempt.spot,
            }),
            Some(older) => {
                self.terminate(&instance).await?;
                self.adopt(older, attempt, prepared, options)
            }
        }
    }
}

/// Whether a quota that an earlier attempt met holds for this one, too.
fn rules_out(before: &Tried, attempt: &Attempt) -> bool {
    let quota = |name: &str| quota_code(name, true);
    before.code == SPOT_QUOTA
        && before.spot
        && attempt.spot
        && quota(&before.instance_type) == quota(&attempt.place.instance_type)
}

/// Names the type and the subnet in errors that are about them.
fn about_attempt(error: CloudError, attempt: &Attempt, region: &str) -> CloudError {
    match error {
        CloudError::Quota { code, message, .. } => CloudError::Quota {
            instance_type: Some(attempt.place.instance_type.clone()),
            code,
            message,
        },
        CloudError::Service { code, .. } if code == "VPCIdNotSpecified" => {
            CloudError::NoSubnet { region: region.to_owned(), zones: Vec::new() }
        }
        error => error,
    }
}
