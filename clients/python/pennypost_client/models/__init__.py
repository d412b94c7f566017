"""Contains all the data models used in inputs/outputs"""

from .actor import Actor
from .asked_targets import AskedTargets
from .attachment_request import AttachmentRequest
from .attempt import Attempt
from .audit_entry import AuditEntry
from .audit_entry_target import AuditEntryTarget
from .audit_list import AuditList
from .authentication_results import AuthenticationResults
from .batch_item import BatchItem
from .batch_request import BatchRequest
from .batch_response import BatchResponse
from .bounce_class import BounceClass
from .changed import Changed
from .created_key_view import CreatedKeyView
from .created_route import CreatedRoute
from .created_smtp_user_view import CreatedSmtpUserView
from .created_webhook import CreatedWebhook
from .delivery_view import DeliveryView
from .dmarc_source import DmarcSource
from .dmarc_source_list import DmarcSourceList
from .dns_record import DnsRecord
from .domain_list import DomainList
from .domain_view import DomainView
from .envelope_request import EnvelopeRequest
from .event_page import EventPage
from .event_view import EventView
from .event_view_data import EventViewData
from .field_error import FieldError
from .finding import Finding
from .header_field import HeaderField
from .imported import Imported
from .imported_key import ImportedKey
from .incoming_attachment import IncomingAttachment
from .incoming_list import IncomingList
from .incoming_message import IncomingMessage
from .incoming_peer import IncomingPeer
from .item_problem import ItemProblem
from .key_kind import KeyKind
from .key_list import KeyList
from .key_record import KeyRecord
from .key_scope import KeyScope
from .known_batch_status import KnownBatchStatus
from .known_delivery_state import KnownDeliveryState
from .known_domain_state import KnownDomainState
from .known_event_kind import KnownEventKind
from .known_failure_scope import KnownFailureScope
from .known_finding_state import KnownFindingState
from .known_node_state import KnownNodeState
from .known_outcome import KnownOutcome
from .known_record_state import KnownRecordState
from .known_report_kind import KnownReportKind
from .known_send_status import KnownSendStatus
from .known_stage import KnownStage
from .known_wait_reason import KnownWaitReason
from .level import Level
from .list_messages_state import ListMessagesState
from .listing_view import ListingView
from .message_list import MessageList
from .message_summary import MessageSummary
from .message_summary_metadata import MessageSummaryMetadata
from .message_summary_tags import MessageSummaryTags
from .message_view import MessageView
from .new_domain import NewDomain
from .new_key import NewKey
from .new_route import NewRoute
from .new_smtp_user import NewSmtpUser
from .new_suppression import NewSuppression
from .new_webhook import NewWebhook
from .node_list import NodeList
from .node_view import NodeView
from .parsed_message import ParsedMessage
from .pause_request import PauseRequest
from .pause_view import PauseView
from .priority import Priority
from .problem import Problem
from .project_change import ProjectChange
from .project_view import ProjectView
from .queue_change import QueueChange
from .queue_lane import QueueLane
from .queue_list import QueueList
from .queue_selection import QueueSelection
from .record_list import RecordList
from .record_purpose import RecordPurpose
from .record_type import RecordType
from .report import Report
from .report_detail import ReportDetail
from .report_list import ReportList
from .report_policy_type_0 import ReportPolicyType0
from .route import Route
from .route_action import RouteAction
from .route_list import RouteList
from .route_target import RouteTarget
from .send_request import SendRequest
from .send_request_headers import SendRequestHeaders
from .send_request_metadata import SendRequestMetadata
from .send_request_tags import SendRequestTags
from .send_response import SendResponse
from .site_limits import SiteLimits
from .site_list import SiteList
from .site_pause_request import SitePauseRequest
from .site_state import SiteState
from .site_view import SiteView
from .smtp_user import SmtpUser
from .smtp_user_list import SmtpUserList
from .source_list import SourceList
from .source_state import SourceState
from .source_view import SourceView
from .suppression_list import SuppressionList
from .suppression_origin import SuppressionOrigin
from .suppression_reason import SuppressionReason
from .suppression_view import SuppressionView
from .tag_condition import TagCondition
from .tested_address import TestedAddress
from .tls_failure import TlsFailure
from .tls_failure_list import TlsFailureList
from .tls_policy import TlsPolicy
from .tls_result import TlsResult
from .waiting import Waiting
from .warm_up_view import WarmUpView
from .webhook import Webhook
from .webhook_list import WebhookList
from .webhook_message import WebhookMessage
from .webhook_message_list import WebhookMessageList

__all__ = (
    "Actor",
    "AskedTargets",
    "AttachmentRequest",
    "Attempt",
    "AuditEntry",
    "AuditEntryTarget",
    "AuditList",
    "AuthenticationResults",
    "BatchItem",
    "BatchRequest",
    "BatchResponse",
    "BounceClass",
    "Changed",
    "CreatedKeyView",
    "CreatedRoute",
    "CreatedSmtpUserView",
    "CreatedWebhook",
    "DeliveryView",
    "DmarcSource",
    "DmarcSourceList",
    "DnsRecord",
    "DomainList",
    "DomainView",
    "EnvelopeRequest",
    "EventPage",
    "EventView",
    "EventViewData",
    "FieldError",
    "Finding",
    "HeaderField",
    "Imported",
    "ImportedKey",
    "IncomingAttachment",
    "IncomingList",
    "IncomingMessage",
    "IncomingPeer",
    "ItemProblem",
    "KeyKind",
    "KeyList",
    "KeyRecord",
    "KeyScope",
    "KnownBatchStatus",
    "KnownDeliveryState",
    "KnownDomainState",
    "KnownEventKind",
    "KnownFailureScope",
    "KnownFindingState",
    "KnownNodeState",
    "KnownOutcome",
    "KnownRecordState",
    "KnownReportKind",
    "KnownSendStatus",
    "KnownStage",
    "KnownWaitReason",
    "Level",
    "ListMessagesState",
    "ListingView",
    "MessageList",
    "MessageSummary",
    "MessageSummaryMetadata",
    "MessageSummaryTags",
    "MessageView",
    "NewDomain",
    "NewKey",
    "NewRoute",
    "NewSmtpUser",
    "NewSuppression",
    "NewWebhook",
    "NodeList",
    "NodeView",
    "ParsedMessage",
    "PauseRequest",
    "PauseView",
    "Priority",
    "Problem",
    "ProjectChange",
    "ProjectView",
    "QueueChange",
    "QueueLane",
    "QueueList",
    "QueueSelection",
    "RecordList",
    "RecordPurpose",
    "RecordType",
    "Report",
    "ReportDetail",
    "ReportList",
    "ReportPolicyType0",
    "Route",
    "RouteAction",
    "RouteList",
    "RouteTarget",
    "SendRequest",
    "SendRequestHeaders",
    "SendRequestMetadata",
    "SendRequestTags",
    "SendResponse",
    "SiteLimits",
    "SiteList",
    "SitePauseRequest",
    "SiteState",
    "SiteView",
    "SmtpUser",
    "SmtpUserList",
    "SourceList",
    "SourceState",
    "SourceView",
    "SuppressionList",
    "SuppressionOrigin",
    "SuppressionReason",
    "SuppressionView",
    "TagCondition",
    "TestedAddress",
    "TlsFailure",
    "TlsFailureList",
    "TlsPolicy",
    "TlsResult",
    "Waiting",
    "WarmUpView",
    "Webhook",
    "WebhookList",
    "WebhookMessage",
    "WebhookMessageList",
)
