"""Every word of the pages that is not data, as (zh, en); terms are those of `forecasting.detection.short`."""

from collections.abc import Mapping
from typing import Literal

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

WORDS: Mapping[str, tuple[str, str]] = {
    # the frame
    "title": ("未诉 · 运行页", "Weisu · operation"),
    "other_language": ("English", "中文"),
    "now": ("当前时间", "Now"),
    "business_date": ("业务日期", "Business date"),
    "refreshes": ("每 60 秒自动刷新", "refreshes every 60 s"),
    "more": ("接口文档", "API documentation"),
    "status_json": ("状态(JSON)", "status (JSON)"),
    "internal": ("内部使用,非公众预警。", "Internal: no public warning."),
    "limited_to": ("访问范围:%s", "You see: %s"),
    # whether the service is at work
    "calm": ("服务正常", "The service is in time"),
    "late": ("服务延误", "The service is late"),
    "dead": ("调度器已停", "The scheduler is dead"),
    "calm_means": ("所有任务按时完成,数据按时更新。", "Every job and all data are in time."),
    "late_means": ("有任务或数据未按时更新,须有人查看:", "Something has not happened in time; somebody must look:"),
    "dead_means": ("没有任务在运行,以下内容不再更新,须立即查看:", "No job runs and nothing below is renewed; look at once:"),
    "scheduler_never": ("调度器从未运行:启动 weisu up", "no scheduler has ever run: start 'weisu up'"),
    "job_is_late": ("任务 %s 已延误 %s", "job %s is late by %s"),
    "job_failed": ("任务 %s 上次失败:%s", "job %s failed last: %s"),
    "thing_is_late": ("%s 已延误 %s", "%s: late by %s"),
    "requests_wait": (
        "%d 个请求等待入库,最早的已等 %s:确认调度器在运行、数据库可写",
        "requests that wait to be counted: %d, the oldest for %s: see that the scheduler is at work and that the database can be written",
    ),
    "requests_aside": (
        "%d 个请求无法入库,已搁置 %s,其中工单未计入(接入编号 %s):先看 /v1/ingests/编号 中的原因,再用 weisu retry 编号 放回队列"
        "(见 docs/operations.md)",
        "requests that could not be counted: %d, set aside for %s, their tickets are missing (ingests %s): /v1/ingests/ID says why; then put "
        "them back with 'weisu retry ID' (see docs/operations.md)",
    ),
    "no_forecasts": ("尚无已发布的预测:等待夜间训练,或运行 weisu train", "no forecast set is published: wait for the night, or run 'weisu train'"),
    "unwatched": (
        "检测未按时完成:没有新预警不代表平稳",
        "detection is late or has never succeeded: that there is no new alert does not mean that all is calm",
    ),
    # the city
    "city_usual": ("全市平稳", "The city is as usual"),
    "city_usual_limited": ("所辖区域平稳", "Your districts are as usual"),
    "city_state": ("最高预警级别", "Highest alert"),
    # alerts
    "alerts": ("当前预警", "Running alerts"),
    "shown_of": ("显示 %d 条,共 %d 条", "%d shown of %d"),
    "no_alerts": ("没有当前预警。", "No alert is running."),
    "no_scope": ("当前密钥没有 alerts:read 权限,不显示预警。", "Your key lacks the scope alerts:read: alerts are not shown."),
    "since": ("起始", "Since"),
    "since_then": ("共 %s 件,预期 %s 件", "%s tickets, %s expected"),
    "raised": ("发出", "Raised"),
    "observed": ("受理", "Observed"),
    "expected": ("预期", "Expected"),
    "of_late": ("近期日均", "Of late, a day"),
    "coming": ("预计日均", "Coming, a day"),
    "acknowledged": ("已签收", "acknowledged"),
    "silenced": ("静默中", "silenced"),
    "details": ("详情", "details"),
    "whole_city": ("全市", "the whole city"),
    "all_categories": ("全部诉求", "all categories"),
    # forecasts
    "forecasts": ("正在使用的预测", "Forecasts that serve"),
    "no_set": ("尚无已发布的预测。", "No forecast set is published yet."),
    "set": ("编号", "Set"),
    "version": ("模型版本", "Model version"),
    "unknown_version": ("尚未登记", "not registered yet"),
    "cutoff": ("数据截至", "Known until"),
    "days": ("预测日期", "Days"),
    "to": ("至", "to"),
    "issued": ("发布时间", "Issued"),
    "age": ("距今", "Age"),
    # jobs
    "jobs": ("任务", "Jobs"),
    "no_jobs": ("调度器从未运行。", "No scheduler has ever run."),
    "job": ("任务", "Job"),
    "state": ("状态", "State"),
    "in_time": ("按时", "in time"),
    "late_by": ("延误 %s", "late by %s"),
    "failed": ("上次失败", "failed last"),
    "last_success": ("上次成功", "Last success"),
    "next_run": ("下次运行", "Next run"),
    "error": ("上次错误", "Last error"),
    "never": ("从未", "never"),
    # data
    "data": ("数据更新", "Data"),
    "complete_until": ("数据完整至", "Complete until"),
    "no_data": ("尚无数据", "there are no data"),
    "requests": ("等待入库的请求", "Requests that wait to be counted"),
    "aside": ("已搁置", "set aside"),
    "oldest": ("最早", "since"),
    "what": ("内容", "What"),
    "last": ("最近一次", "Last"),
    "expected_by": ("应于此前", "Expected by"),
    "notes": ("数据提示", "Notes on the data"),
    # the things of `freshness`
    "ticket": ("最新工单", "newest ticket"),
    "ingest": ("数据接入", "intake"),
    "training": ("模型训练", "training"),
    "detection": ("异常检测", "detection"),
    # what a closed page says
    "401": ("请先登录", "This page needs a key"),
    "429": ("请求过多,请稍候", "Too many requests; wait a minute"),
    "503": ("服务暂不可用", "Not available now"),
    "why_401": (
        "没有会话或会话已结束,或密钥无效,或地址中的令牌已用过或已过期。",
        "There is no session or it has ended, the key is not valid, or the token of the address was used before or is too old.",
    ),
    "no_data_here": ("未登录时不显示任何数据。", "Without a key nothing is shown."),
    "how_page": (
        "在运行服务的机器上执行下面的命令,并在该机器的浏览器中打开它输出的地址(一次有效,一小时内):",
        "On the machine that runs the service, open in a browser the address that this prints (good once, within the hour):",
    ),
    "how_key": ("在其他机器上:随请求发送密钥(由管理员用 weisu keys create 生成)。", "From elsewhere: send a key, which 'weisu keys create' makes."),
    "open_page": ("打开运行页", "Open the page"),
}

JOBS: Mapping[str, tuple[str, str]] = {
    "scheduler": ("调度", "heartbeat"),
    "nightly": ("夜间训练", "training"),
    "watch": ("异常检测", "detection"),
    "delivery": ("推送", "webhooks"),
    "alertmanager": ("推送至 Alertmanager", "push to Alertmanager"),
    "housekeeping": ("清理", "tidying"),
    "mlflow": ("补送 MLflow", "late nights to MLflow"),
    "scoring": ("预测评估", "accuracy"),
    "challenger": ("影子模型", "shadow training"),
    "reports": ("月度报告", "of the month"),
}
