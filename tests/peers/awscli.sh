#!/usr/bin/env bash
# The real AWS CLI against the sandbox: every operation that it serves, as botocore sends and parses it.
#
#   tests/peers/awscli.sh            needs python3, and a built `cutover` (or CUTOVER=path)
#
# Installs the CLI into target/peers once, binds to loopback only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

cutover=${CUTOVER:-target/debug/cutover}
venv=target/peers/awscli
work=$(mktemp -d)
python_peer awscli 'awscli==1.46.3'

"$cutover" sandbox --scenario calm --speed 20 --json > "$work/endpoints.json" & sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do python3 -m json.tool "$work/endpoints.json" > /dev/null 2>&1 && break; sleep 0.1; done
endpoint() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/endpoints.json" "$1"; }

export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID=AKIASANDBOX AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1
export AWS_PAGER= AWS_MAX_ATTEMPTS=1 AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
AWS_ENDPOINT_URL=$(endpoint aws_route53)
zone=Z0SANDBOX00000000001
failures=0

# expect WHAT COMMAND...: its output, or its error, is WHAT (a pattern of the shell). The CLI's `rds` takes no endpoint from
# the environment.
expect() {
  local wanted=$1 got; shift
  got=$("$venv/bin/aws" --endpoint-url "$AWS_ENDPOINT_URL" "$@" --output text 2>&1 | tr -s '\n\t' '  ') || true
  # shellcheck disable=SC2053
  if [[ $got == $wanted ]]; then echo "ok   aws $1 $2"; else
    echo "FAIL aws $*"; echo "  wanted $wanted"; echo "  got    $got"; failures=$((failures + 1)); fi
}
change() { printf '{"Changes":[{"Action":"%s","ResourceRecordSet":{"Name":"%s","Type":"CNAME","TTL":%s,"ResourceRecords":[{"Value":"%s"}]}}]}' "$@"; }

expect '123456789012 ' sts get-caller-identity --query Account
expect "/hostedzone/$zone " route53 list-hosted-zones --query 'HostedZones[].Id'
expect 'example.test. ' route53 list-hosted-zones-by-name --dns-name example.test --query 'HostedZones[].Name'
expect 'ns-1.example.test ns-2.example.test ' route53 get-hosted-zone --id $zone --query DelegationSet.NameServers
expect '3 3 2 ' route53 list-resource-record-sets --hosted-zone-id $zone --page-size 3 --query 'length(ResourceRecordSets)'
expect 'acme-shop.herokudns.test. ' route53 test-dns-answer --hosted-zone-id $zone \
  --record-name shop.example.test --record-type CNAME --query RecordData
expect '/change/C0SANDBOX* PENDING ' route53 change-resource-record-sets --hosted-zone-id $zone \
  --change-batch "$(change UPSERT shop.example.test 60 acme-shop.herokudns.test)" --query 'ChangeInfo.[Id,Status]'
sleep 2
expect '' route53 wait resource-record-sets-changed --id C0SANDBOX000000000001
expect 'INSYNC ' route53 get-change --id C0SANDBOX000000000001 --query ChangeInfo.Status
expect '60 ' route53 list-resource-record-sets --hosted-zone-id $zone --start-record-name shop.example.test \
  --max-items 1 --query 'ResourceRecordSets[0].TTL'
expect '*(InvalidChangeBatch)*not permitted at apex*' route53 change-resource-record-sets --hosted-zone-id $zone \
  --change-batch "$(change CREATE example.test 60 other.test)"
expect '*(NoSuchChange)*' route53 get-change --id C0NOPE
expect '*(NotImplemented)*' route53 list-health-checks

expect 'CPUUtilization MemoryUtilization ' cloudwatch list-metrics --namespace AWS/ECS --query 'Metrics[].MetricName'
now=$(python3 -c 'import json, sys, urllib.request as u; print(json.load(u.urlopen(sys.argv[1] + "/sandbox/state"))["now"])' "$(endpoint control)")
query='[{"Id":"q","MetricStat":{"Metric":{"Namespace":"Acme/Heroku","MetricName":"RequestCount","Dimensions":[{"Name":"App","Value":"acme-shop"}]},"Period":60,"Stat":"Sum"}}]'
expect 'Complete [1-9]*' cloudwatch get-metric-data --start-time "$(date -u -d "$now - 30 minutes" +%FT%TZ)" \
  --end-time "$now" --metric-data-queries "$query" --query 'MetricDataResults[0].[StatusCode, length(Values)]'
expect '*(ValidationError)*' cloudwatch get-metric-data --start-time "$now" --end-time "$now" --metric-data-queries "$query"

expect 'acme ' ecs describe-clusters --clusters acme --query 'clusters[].clusterName'
expect '3 ' ecs list-services --cluster acme --query 'length(serviceArns)'
expect '2 0 2 IN_PROGRESS ' ecs update-service --cluster acme --service worker --desired-count 2 \
  --query 'service.[desiredCount,runningCount,pendingCount,deployments[0].rolloutState]'
sleep 3
expect '' ecs wait services-stable --cluster acme --services worker
expect 'COMPLETED ' ecs describe-services --cluster acme --services worker --query 'services[].deployments[].rolloutState'
task=$("$venv/bin/aws" ecs list-tasks --cluster acme --service-name worker --query 'taskArns[0]' --output text)
expect 'RUNNING ' ecs describe-tasks --cluster acme --tasks "$task" --query 'tasks[].lastStatus'
expect '*(ServiceNotFoundException)*' ecs update-service --cluster acme --service nope --desired-count 1
expect '*(ClusterNotFoundException)*' ecs list-services --cluster nope

expect 'acme-release 42 acme/release ' ecs describe-task-definition --task-definition acme-release \
  --query 'taskDefinition.[family,revision,join(`/`,[containerDefinitions[0].logConfiguration.options."awslogs-stream-prefix",containerDefinitions[0].name])]'
expect '*(ClientException)*' ecs describe-task-definition --task-definition acme-release:7
network='awsvpcConfiguration={subnets=[subnet-1]}'
run() {
  "$venv/bin/aws" ecs run-task --cluster acme --task-definition acme-release:42 --launch-type FARGATE \
    --started-by "cutover-$1" --client-token "$1" --network-configuration "$network" --output text \
    --overrides '{"containerOverrides":[{"name":"release","command":["bundle","exec","rails","db:migrate"]}]}' \
    --query 'tasks[0].taskArn'
}
task=$(run one); again=$(run one)
expect 'arn:aws:ecs:us-east-1:123456789012:task-definition/acme-release:42 cutover-one ' ecs describe-tasks --cluster acme --tasks "$task" \
  --query 'tasks[0].[taskDefinitionArn,startedBy]'
[ "$task" = "$again" ] || { echo "FAIL a token that starts two tasks"; failures=$((failures + 1)); }
sleep 3
expect '' ecs wait tasks-stopped --cluster acme --tasks "$task"
expect 'STOPPED 0 ' ecs describe-tasks --cluster acme --tasks "$task" --query 'tasks[0].[lastStatus,containers[0].exitCode]'
expect "$task " ecs list-tasks --cluster acme --started-by cutover-one --desired-status STOPPED --query taskArns
expect 'STOPPED ' ecs stop-task --cluster acme --task "$(run two)" --reason enough --query 'task.desiredStatus'
expect '*(InvalidParameterException)*' ecs run-task --cluster acme --task-definition acme-release:42
expect 'PRIMARY IN_PROGRESS ACTIVE COMPLETED ' ecs update-service --cluster acme --service web \
  --task-definition acme-web:41 --query 'service.deployments[].[status,rolloutState]'

expect '/ecs/acme-release ' logs describe-log-groups --log-group-name-prefix /ecs/acme-r --query 'logGroups[].logGroupName'
stream="acme/release/${task##*/}"
expect "$stream " logs describe-log-streams --log-group-name /ecs/acme-release --log-stream-name-prefix "$stream" --query 'logStreams[].logStreamName'
expect '$ bundle exec rails db:migrate *done ' logs get-log-events --log-group-name /ecs/acme-release \
  --log-stream-name "$stream" --start-from-head --query 'events[].message'
expect '* IndexOrdersOnShippedAt: migrating ' logs filter-log-events --log-group-name /ecs/acme-release \
  --filter-pattern IndexOrdersOnShippedAt --query 'events[].message'
expect '*(ResourceNotFoundException)*' logs get-log-events --log-group-name /ecs/acme-release --log-stream-name none

expect 'acme-shop acme-shop-green-7k2m4q acme-shop-warehouse ' rds describe-db-instances \
  --query 'sort_by(DBInstances, &DBInstanceIdentifier)[].DBInstanceIdentifier'
expect 'acme-shop acme-shop-warehouse ' rds describe-db-instances --db-instance-identifier acme-shop-warehouse \
  --query 'DBInstances[0].[ReadReplicaSourceDBInstanceIdentifier,DBInstanceIdentifier]'
expect 'acme-shop-warehouse acme-private sg-0acme5h0pdatabase ' rds describe-db-instances \
  --filters Name=db-instance-id,Values=acme-shop \
  --query 'DBInstances[0].[ReadReplicaDBInstanceIdentifiers[0],DBSubnetGroup.DBSubnetGroupName,VpcSecurityGroups[0].VpcSecurityGroupId]'
expect '7 automated ' rds describe-db-snapshots --db-instance-identifier acme-shop \
  --query '[length(DBSnapshots), DBSnapshots[0].SnapshotType]'
newest=$("$venv/bin/aws" --endpoint-url "$AWS_ENDPOINT_URL" rds describe-db-snapshots --db-instance-identifier acme-shop --output text \
  --query 'max_by(DBSnapshots, &SnapshotCreateTime).DBSnapshotIdentifier')
expect 'creating db.m6g.large step copy ' rds restore-db-instance-from-db-snapshot --db-instance-identifier copy \
  --db-snapshot-identifier "$newest" --db-instance-class db.m6g.large --vpc-security-group-ids sg-1 sg-2 \
  --tags Key=step,Value=copy --query 'DBInstance.[DBInstanceStatus,DBInstanceClass,TagList[0].Key,TagList[0].Value]'
expect '*(DBInstanceAlreadyExists)*' rds restore-db-instance-from-db-snapshot --db-instance-identifier copy \
  --db-snapshot-identifier "$newest"
expect '*(DBSnapshotNotFound)*' rds restore-db-instance-from-db-snapshot --db-instance-identifier other \
  --db-snapshot-identifier nope
expect 'creating 0 ' rds create-db-snapshot --db-instance-identifier acme-shop --db-snapshot-identifier mine \
  --query 'DBSnapshot.[Status,PercentProgress]'
expect '*(InvalidDBInstanceState)*' rds create-db-snapshot --db-instance-identifier acme-shop --db-snapshot-identifier two
expect 'modifying ' rds promote-read-replica --db-instance-identifier acme-shop-warehouse \
  --query DBInstance.DBInstanceStatus
expect '*(InvalidDBInstanceState)*' rds promote-read-replica --db-instance-identifier acme-shop-warehouse
deployment=$("$venv/bin/aws" --endpoint-url "$AWS_ENDPOINT_URL" rds describe-blue-green-deployments --output text \
  --query 'BlueGreenDeployments[?Status==`AVAILABLE`].BlueGreenDeploymentIdentifier')
expect 'SWITCHOVER_IN_PROGRESS ' rds switchover-blue-green-deployment --blue-green-deployment-identifier "$deployment" \
  --switchover-timeout 300 --query BlueGreenDeployment.Status
expect '*(InvalidBlueGreenDeploymentStateFault)*' rds switchover-blue-green-deployment \
  --blue-green-deployment-identifier "$deployment"
sleep 16                                 # five minutes of the session
expect 'available None ' rds describe-db-instances --db-instance-identifier acme-shop-warehouse \
  --query 'DBInstances[0].[DBInstanceStatus,ReadReplicaSourceDBInstanceIdentifier]'
expect 'available ' rds describe-db-instances --db-instance-identifier copy --query 'DBInstances[].DBInstanceStatus'
expect 'available 100 ' rds describe-db-snapshots --db-snapshot-identifier mine \
  --query 'DBSnapshots[0].[Status,PercentProgress]'
expect 'SWITCHOVER_COMPLETED arn:aws:rds:*:db:acme-shop ' rds describe-blue-green-deployments \
  --blue-green-deployment-identifier "$deployment" --query 'BlueGreenDeployments[0].[Status,Target]'
expect 'db.m6g.large ' rds describe-db-instances --db-instance-identifier acme-shop --query 'DBInstances[].DBInstanceClass'
expect '*(InvalidParameterCombination)*' rds delete-db-instance --db-instance-identifier copy
expect 'deleting ' rds delete-db-instance --db-instance-identifier copy --skip-final-snapshot \
  --query DBInstance.DBInstanceStatus
sleep 3
expect '*(DBInstanceNotFound)*' rds describe-db-instances --db-instance-identifier copy
expect '*(InvalidAction)*' rds describe-db-clusters

[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
